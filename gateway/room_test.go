package gateway

import (
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"kring/internal/budget"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFetchesUnderWayAskForNoMoreThanThereIsRoom: none of them holds memory before its answer
// comes, and all answers may come at once.
func TestFetchesUnderWayAskForNoMoreThanThereIsRoom(t *testing.T) {
	const room, clients = 128 << 20, 200
	s := ready(t, func(c *Config) { c.Waiting = clients })
	s.jobs = &reqchan.Jobs{Budget: budget.New(room)}
	var asked, least int64
	count := func() {
		asked, least = 0, math.MaxInt64
		for _, l := range s.links {
			for _, x := range l.u.away.all() {
				if x.client != nil {
					asked, least = asked+x.promised, min(least, x.promised)
				}
			}
		}
	}
	for range clients {
		c := s.client("a")
		r := c.fetch(500)
		r.MaxBytes, r.Topics[0].Topic = 50<<20, c.tag()
		c.send(r, c.tag())
	}
	s.run1(func(l *stageLink) { l.open(); l.leave(9) })
	s.tick(time.Second) // whoever stands in line gets the rest
	s.run1(func(l *stageLink) { l.open(); l.leave(9) })
	if count(); asked == 0 || asked > room+clients*promiseLeast || least < promiseLeast {
		t.Errorf("brokers may send %d bytes at once, %d one of them, and there is room for %d", asked, least, room)
	}
	if s.g.promised.Load() != asked {
		t.Errorf("%d bytes count as promised, and %d are", s.g.promised.Load(), asked)
	}
	for i, l := range append([]*stageLink(nil), s.links...) { // however they end, all of it is given back
		if i%2 == 0 {
			l.end(io.EOF, false)
		}
	}
	for _, c := range s.clients[:clients/2] {
		c.leave()
	}
	s.settle()
	if n := s.g.promised.Load(); n != 0 {
		t.Errorf("%d bytes stay promised", n)
	}
}

func (c *stageClient) tag() string { return fmt.Sprintf("%d/%d", c.number, c.asked) }

// TestASmallFetchAsksForWhatItAsked: nothing is raised.
func TestASmallFetchAsksForWhatItAsked(t *testing.T) {
	s := ready(t, nil)
	s.jobs = &reqchan.Jobs{Budget: budget.New(128 << 20)}
	s.change = func(_ *stageLink, req kmsg.Request, _ kmsg.Response) {
		if f, is := req.(*kmsg.FetchRequest); is && f.MaxBytes != 1000 {
			t.Errorf("%d bytes at most", f.MaxBytes)
		}
	}
	c := s.client("a")
	f := c.fetch(0)
	f.MaxBytes, f.Topics[0].Topic = 1000, c.tag()
	r := c.give(f)
	s.run()
	if _, ok := c.await(r); !ok {
		t.Error("it was closed")
	}
}
