package embedded

import (
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
	looking sync.WaitGroup
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
