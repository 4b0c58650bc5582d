package processor

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/conn"
	"kring/reqchan"
)

// UpstreamOwner is told of an Upstream, on the goroutine of its processor.
type UpstreamOwner = conn.Owner

// Outgoing is a frame that an Upstream sends.
type Outgoing = conn.Outgoing

// UpstreamConfig says where an Upstream leads and what it goes by.
type UpstreamConfig struct {
	// Addrs are tried in order.
	Addrs  []netip.AddrPort
	Socket engine.SocketOptions
	// From has its settings; it is the Upstream's alone.
	From *Listener
	// OpenBy is when it must be open, in reqchan.Now; 0: there is no such time.
	OpenBy int64
}

// Upstream is a connection that this side makes: it lives on one processor, and anybody may
// call it. What is asked of it goes into a queue of its own, and the processor does all of it
// at once, in its next pass; so also what its own goroutine asks, which costs no wakeup.
type Upstream struct {
	owner UpstreamOwner
	info  atomic.Pointer[reqchan.Conn] // nil until it is open

	mu     sync.Mutex
	at     *Processor     // guarded by mu; nil until Start
	calls  []upstreamCall // guarded by mu
	spare  []upstreamCall // guarded by mu
	posted bool           // guarded by mu; the processor will look
	over   bool           // guarded by mu; nobody is told anything any more

	// nextCalled is inbox.upstreams'. Owner: who sets posted, then the processor.
	nextCalled *Upstream

	// Owner: the goroutine of at, from Start on.
	cfg      UpstreamConfig
	next     int // of cfg.Addrs
	token    engine.Token
	exists   bool // token is that of a connection
	opened   bool
	paused   bool
	closed   bool
	closedBy error
	failure  error
	waiting  []Outgoing // until it is open
}

type upstreamCall struct {
	what  upstreamVerb
	write Outgoing
	why   error
}

type upstreamVerb uint8

const (
	upstreamWrite upstreamVerb = iota
	upstreamPause
	upstreamResume
	upstreamClose
)

// errUpstreamOver is what a frame ends with that comes too late.
var errUpstreamOver = errors.New("the connection has ended")

// upstreamsEndEvery is how often an ending processor looks whether its upstreams are needed.
const upstreamsEndEvery = 10 * time.Millisecond

// NewUpstream makes an Upstream, which may be called at once and lives from Start on.
func NewUpstream(owner UpstreamOwner) *Upstream { return &Upstream{owner: owner} }

// Start has p connect it; false: p has ended, and nothing happened. Any goroutine, once that
// it succeeds.
func (u *Upstream) Start(p *Processor, cfg UpstreamConfig) bool {
	if ph := p.inbox.wanted(); ph == conn.Retiring || ph >= conn.Cutting { // one that drains may need it for what is in flight
		return false
	}
	p.upstreams.Add(1)
	started := p.inbox.submit(func() {
		u.mu.Lock()
		u.at, u.posted = p, true
		u.mu.Unlock()
		u.cfg = cfg
		p.connectUpstream(u)
		u.runCalls()
	})
	if !started {
		p.upstreams.Add(-1)
	}
	return started
}

// Fail ends an Upstream that will never Start, on the caller's goroutine.
func (u *Upstream) Fail(err error) { u.end(reqchan.BackendFailed, err) }

// Conn is what there is to know of the connection; nil until it is open.
func (u *Upstream) Conn() *reqchan.Conn { return u.info.Load() }

// Write sends a frame behind those before it, once the connection is open. Any goroutine, as
// all that follows; none of them blocks, or calls anybody.
func (u *Upstream) Write(w Outgoing) { u.call(upstreamCall{what: upstreamWrite, write: w}) }

// Pause has no further frame come; Resume ends that.
func (u *Upstream) Pause() { u.call(upstreamCall{what: upstreamPause}) }

// Resume is beside Pause.
func (u *Upstream) Resume() { u.call(upstreamCall{what: upstreamResume}) }

// Close ends the connection.
func (u *Upstream) Close(why error) { u.call(upstreamCall{what: upstreamClose, why: why}) }

func (u *Upstream) call(c upstreamCall) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		u.doneLate(c.write)
		return
	}
	u.calls = append(u.calls, c)
	if u.at != nil && !u.posted {
		u.posted = true
		u.at.inbox.called(u)
	}
}

// doneLate says that a frame came too late, soon. mu is held.
func (u *Upstream) doneLate(w Outgoing) {
	if w.Done == nil {
		return
	}
	late := func() { notSent(&w) }
	if u.at == nil || !u.at.inbox.submit(late) {
		go late()
	}
}

// notSent says of a frame, if it is one, that it came too late.
func notSent(w *Outgoing) {
	if w.Done != nil {
		w.Done(false, errUpstreamOver)
	}
}

// runCalls does what was asked for.
func (u *Upstream) runCalls() {
	u.mu.Lock()
	calls := u.calls
	u.calls, u.spare, u.posted = u.spare[:0], nil, false
	u.mu.Unlock()
	for i := range calls {
		u.do(&calls[i])
	}
	if u.closed && !u.exists { // Order: behind the Done of what was written after Close
		u.end(reqchan.HandlerClosed, u.closedBy)
	}
	clear(calls)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spare = calls[:0]
}

func (u *Upstream) do(call *upstreamCall) {
	c := u.conn()
	switch call.what {
	case upstreamWrite:
		switch {
		case u.opened && c != nil:
			c.WriteFrame(&call.write)
		case u.closed, u.isOver():
			notSent(&call.write)
		default:
			u.waiting = append(u.waiting, call.write)
		}
	case upstreamPause:
		if u.paused = true; c != nil {
			c.Pause()
		}
	case upstreamResume:
		if u.paused = false; c != nil {
			c.Unpause()
		}
	case upstreamClose:
		if u.closed {
			return
		}
		if u.closed, u.closedBy = true, call.why; c != nil {
			c.CloseUpstream(call.why)
		}
	}
}

func (u *Upstream) isOver() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.over
}

// conn is its connection; nil while there is none.
func (u *Upstream) conn() *slot {
	if !u.exists {
		return nil
	}
	return u.at.slots.of(u.token)
}

// Opened and what follows are conn.Owner's.
func (u *Upstream) Opened() {
	c := u.conn()
	u.opened = true
	u.info.Store(c.Info())
	u.owner.Opened()
	waiting := u.waiting
	u.waiting = nil
	for i := range waiting {
		c.WriteFrame(&waiting[i])
	}
}

// FrameBegins is beside Opened.
func (u *Upstream) FrameBegins(size int, correlationID int32) (into []byte, err error) {
	return u.owner.FrameBegins(size, correlationID)
}

// Frame is beside Opened.
func (u *Upstream) Frame(payload []byte) { u.owner.Frame(payload) }

// Closed is beside Opened. Another address is tried while it has never been open.
func (u *Upstream) Closed(why reqchan.CloseReason, err error) {
	u.exists = false
	if !u.opened && !u.closed && why == reqchan.BackendFailed && !errors.Is(err, context.DeadlineExceeded) {
		u.failure = err
		if u.next < len(u.cfg.Addrs) && u.at.inbox.submit(func() { u.at.connectUpstream(u) }) {
			return
		}
	}
	u.end(why, err)
}

// end is the last that anybody hears of it.
func (u *Upstream) end(why reqchan.CloseReason, err error) {
	u.mu.Lock()
	if u.over {
		u.mu.Unlock()
		return
	}
	u.over = true
	if u.at != nil {
		u.at.upstreams.Add(-1)
	}
	calls := u.calls
	u.calls = nil
	u.mu.Unlock()
	for i := range u.waiting {
		notSent(&u.waiting[i])
	}
	u.waiting = nil
	for i := range calls {
		notSent(&calls[i].write)
	}
	u.owner.Closed(why, err)
}

// connectUpstream tries the next of its addresses.
func (p *Processor) connectUpstream(u *Upstream) {
	if u.closed || u.isOver() {
		u.end(reqchan.HandlerClosed, u.closedBy)
		return
	}
	if p.ends.gone || p.phase >= conn.Cutting {
		u.end(reqchan.ServerDraining, nil)
		return
	}
	for u.next < len(u.cfg.Addrs) {
		to := u.cfg.Addrs[u.next]
		u.next++
		fd, err := p.cfg.Network.Socket(to, u.cfg.Socket)
		if err != nil {
			u.failure = err
			continue
		}
		p.openUpstream(u, fd, to)
		return
	}
	u.end(reqchan.BackendFailed, u.failure)
}

func (p *Processor) openUpstream(u *Upstream, fd engine.FD, to netip.AddrPort) {
	c, token := p.slots.take()
	p.slots.opened++
	c.fd, c.upstream = fd, u
	info := &reqchan.Conn{
		ID:       reqchan.ConnID{Processor: p.cfg.ID, Index: p.slots.opened},
		Listener: u.cfg.From.Name(), Remote: to,
	}
	p.slots.open++
	p.slots.upstreams++
	u.token, u.exists = token, true
	c.OpenUpstream(p.shared, token, info, u.cfg.From, to, u.cfg.OpenBy, u)
	if u.paused {
		c.Pause()
	}
}

// connected takes the completion of a Connect.
func (p *Processor) connected(c *slot, done *engine.Completion) {
	if done.Res == 0 {
		if local, _, err := p.cfg.Network.Addrs(c.fd); err == nil {
			c.Info().Local = local // nobody else has seen it yet
		}
	}
	c.Connected(done)
}

// closedUpstream is closed for one.
func (p *Processor) closedUpstream(c *slot) {
	p.timers.wheel.remove(c)
	c.Closed()
	p.slots.open--
	p.slots.upstreams--
	p.slots.release(c)
}

// Upstreams is how many connections of this side the processor has, and is about to have.
// Any goroutine.
func (p *Processor) Upstreams() int64 { return p.upstreams.Load() }

// endUpstreams ends those of an ending processor that nobody needs any more: when no client
// is left anywhere, or, on one that retires, when they owe nobody a frame. Requests of its
// clients can't end without them.
func (p *Processor) endUpstreams() {
	if p.phase == conn.Serving || p.slots.upstreams == 0 {
		return
	}
	if p.slots.open > p.slots.upstreams || p.phase >= conn.Draining && p.cfg.Clients != nil && p.cfg.Clients.Load() > 0 {
		return
	}
	for _, c := range p.slots.all {
		if c.Info() != nil && c.upstream != nil && !c.Ended() && len(c.upstream.waiting) == 0 {
			c.EndUpstream(p.phase == conn.Retiring)
		}
	}
}
