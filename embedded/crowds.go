package embedded

import (
	"net"
	"sync"

	"kring/internal/budget"
)

// What polls that wait in kfake will bring holds no room while they wait. What is produced
// meanwhile is the answer to all who wait for its topic. So it is counted for each of them,
// and when that would be too much at once, they have to go first, and fetch it one after
// the other, as there is room.

// answerBytesLeast is what an answer takes besides its records.
const answerBytesLeast = 512

// crowds are the polls that wait in kfake, by topic.
type crowds struct {
	mu        sync.Mutex
	of        map[string]*crowd  // guarded by mu; "": those of which nobody knows what they wait for
	committed map[*poll]struct{} // guarded by mu; those that wait for transactions to end
	dispersed int                // guarded by mu; how many had to go, ever
}

// crowd are the polls that wait for one topic.
type crowd struct {
	produced int64           // bytes, since the first of them came
	polls    map[*poll]int64 // what produced was when each came
	came     int64           // the sum of these
}

// poll is a request that waits in kfake for records. Guarded by crowds.mu.
type poll struct {
	pipe      net.Conn // closing it ends the wait
	topics    []string
	most      int64 // bytes of records that it brings at most, unless one batch is more; 0: nobody knows
	committed bool
	left      bool          // it is in no crowd any more
	went      bool          // because it had to go
	gone      chan struct{} // closed once it is over
}

// join counts p among those that wait for its topics. It is called before kfake is shown p.
func (c *crowds) join(p *poll) {
	if len(p.topics) == 0 {
		p.topics = []string{""}
	}
	p.gone = make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of, c.committed = make(map[string]*crowd), make(map[*poll]struct{})
	}
	for _, topic := range p.topics {
		of := c.of[topic]
		if of == nil {
			of = &crowd{polls: make(map[*poll]int64)}
			c.of[topic] = of
		}
		if _, twice := of.polls[p]; !twice {
			of.polls[p] = of.produced
			of.came += of.produced
		}
	}
	if p.committed {
		c.committed[p] = struct{}{}
	}
}

// quit is called when the wait of p is over, and says whether p had to go. p may be nil.
func (c *crowds) quit(p *poll) (went bool) {
	if p == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(p)
	close(p.gone)
	return p.went
}

// leave takes p out of all crowds. mu is held.
func (c *crowds) leave(p *poll) {
	if p.left {
		return
	}
	p.left = true
	delete(c.committed, p)
	for _, topic := range p.topics {
		of := c.of[topic]
		if of == nil {
			continue // named twice
		}
		of.came -= of.polls[p]
		if delete(of.polls, p); len(of.polls) == 0 {
			delete(c.of, topic)
		}
	}
}

// produced counts bytes that are about to be produced to a topic, and has those go that
// wait for it when all of them would bring more than most. It returns once they are gone.
func (c *crowds) produced(topic string, bytes, most int64) {
	c.mu.Lock()
	var gone []*poll
	for _, name := range []string{topic, ""} {
		if of := c.of[name]; of != nil {
			of.produced += bytes
			if of.brings(bytes)*answerCopies > most {
				gone = c.sendOff(of.polls, gone)
			}
		}
	}
	c.mu.Unlock()
	awaitGone(gone)
}

// ended has those go that wait for committed records, when the end of a transaction may
// bring them more than most.
func (c *crowds) ended(most int64) {
	c.mu.Lock()
	sum := int64(0)
	for p := range c.committed {
		sum += max(p.most, budget.SmallBytes) + answerBytesLeast
	}
	var gone []*poll
	if sum*answerCopies > most {
		for p := range c.committed {
			gone = c.send(p, gone)
		}
	}
	c.mu.Unlock()
	awaitGone(gone)
}

// brings is how many bytes its polls bring when they are answered now; the last batch had
// so many. mu of crowds is held.
func (of *crowd) brings(last int64) (sum int64) {
	least := int64(len(of.polls)) * answerBytesLeast
	if sum = of.produced*int64(len(of.polls)) - of.came; sum <= budget.SmallBytes {
		return sum + least
	}
	sum = least
	for p, came := range of.polls {
		n := of.produced - came
		if p.most > 0 {
			n = min(n, max(p.most, last))
		}
		sum += n
	}
	return sum
}

// sendOff has all of polls go; they are added to list. mu is held, as for send.
func (c *crowds) sendOff(polls map[*poll]int64, list []*poll) []*poll {
	for p := range polls {
		list = c.send(p, list)
	}
	return list
}

func (c *crowds) send(p *poll, list []*poll) []*poll {
	c.leave(p)
	p.went = true
	c.dispersed++
	_ = p.pipe.Close() // net.Pipe: cannot fail
	return append(list, p)
}

// awaitGone waits for polls whose pipes are closed: their sessions end them at once.
func awaitGone(polls []*poll) {
	for _, p := range polls {
		<-p.gone
	}
}
