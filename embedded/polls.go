package embedded

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// polling finds out which requests wait in kfake for something to happen: they hold no
// room meanwhile. kfake takes requests one after the other, in the order in which they
// came. So when it has answered a request of ours, it has seen all that were there
// before, and what it has not answered of those waits, or is being encoded.
type polling struct {
	ask asker // puts a request to kfake, behind all others

	mu      sync.Mutex
	fresh   []*room     // guarded by mu; since the last look
	old     []*room     // guarded by mu; kfake has had them for pollStays at least
	timer   *time.Timer // guarded by mu; nil: none is set
	over    bool        // guarded by mu
	crowd   *crowd      // guarded by mu; nil: nobody waits
	looking sync.WaitGroup
}

// crowd are fetches that wait in kfake, without room for what they will bring. When
// something is produced that would be too much if all of them brought it, they have to
// go first, and fetch it one after the other, as there is room.
type crowd struct {
	together context.Context // ends when they have to go
	disperse context.CancelFunc
	n        int           // guarded by polling.mu; those that have not gone
	gone     chan struct{} // guarded by polling.mu; closed when nobody is left; nil: they may stay
}

// crowdBytesMin is a Produce that is never too much: what kernels and clients keep of
// answers of that size is more.
const crowdBytesMin = 16 << 10

// join is called before a request waits; quit with what it says when it has gone.
func (p *polling) join(key kmsg.Key) *crowd {
	if key != kmsg.Fetch {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.crowd == nil {
		p.crowd = &crowd{}
		p.crowd.together, p.crowd.disperse = context.WithCancel(context.Background())
	}
	p.crowd.n++
	return p.crowd
}

func (p *polling) quit(c *crowd) {
	if c == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.n--; c.n > 0 {
		return
	}
	if c.gone != nil {
		close(c.gone)
	} else {
		p.crowd = nil
		c.disperse() // it holds nothing
	}
}

// makeWay has those go that wait, if bytes for each of them were more than most, and
// waits until they have.
func (p *polling) makeWay(bytes, most int64) {
	if bytes < crowdBytesMin {
		return
	}
	p.mu.Lock()
	c := p.crowd
	if c == nil || int64(c.n)*bytes*answerCopies <= most {
		p.mu.Unlock()
		return
	}
	c.gone = make(chan struct{})
	p.crowd = nil
	p.mu.Unlock()
	c.disperse()
	<-c.gone
}

// begin has m leave its room once it waits.
func (p *polling) begin(m *room) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return // its session is ending
	}
	p.fresh = append(p.fresh, m)
	p.schedule()
}

// schedule sees to the next look. mu is held.
func (p *polling) schedule() {
	if p.timer == nil && !p.over && len(p.fresh)+len(p.old) > 0 {
		p.looking.Add(1)
		p.timer = time.AfterFunc(pollStays, p.look)
	}
}

func (p *polling) look() {
	defer p.looking.Done()
	p.mu.Lock()
	old := p.old
	p.old, p.fresh = p.fresh, nil
	p.mu.Unlock()
	if len(old) > 0 {
		_, _ = p.ask(kmsg.NewPtrApiVersionsRequest()) // on an error nobody is answered any more
		time.AfterFunc(pollEncodes, func() {
			for _, m := range old {
				m.leave()
			}
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	p.schedule()
}

// end has nobody look any more.
func (p *polling) end() {
	p.mu.Lock()
	p.over = true
	if p.timer != nil && p.timer.Stop() {
		p.looking.Done()
	}
	p.mu.Unlock()
	p.looking.Wait()
}
