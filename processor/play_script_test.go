package processor_test

import (
	"bytes"
	"fmt"
	"time"

	"kring/processor"
	"kring/reqchan"
)

// askedMax bounds the bytes that a script asks with: through the smallest windows
// they take their time.
const askedMax = 1 << 20

// heldRequest is with a handler.
type heldRequest struct {
	r reqchan.Request
	c *client
	n int // of c's requests
}

// perform plays the script to its end.
func (p *player) perform() {
	p.dial()
	for !p.script.over() {
		p.act(p.script.next())
		p.mind()
	}
}

// act is one step of the script.
func (p *player) act(what byte) {
	s := p.script
	switch what % 16 {
	case 0, 1, 2:
		for range 1 + s.upTo(6) {
			p.stepped[int(what>>4)%len(p.stepped)].step()
		}
	case 3:
		p.dial()
	case 4:
		c, size := p.client(), p.size()
		for range 1 + int(what>>4)&3 {
			if p.asked += size; p.asked < askedMax {
				c.ask(size)
			}
		}
	case 5:
		p.client().write(p, 1+s.upTo(64))
	case 6:
		p.client().write(p, 1<<20)
	case 7:
		p.client().read(p, pick(s, 1, 5, 100, 1<<20))
	case 8:
		c := p.client()
		pick(s, c.finish, c.close, c.reset, c.finish)()
	case 9:
		if what>>4 < 8 {
			p.client().spoil(1<<31-1, reqchan.FrameTooBig)
		} else {
			p.client().spoil(1<<31+uint32(what), reqchan.FrameSizeNegative)
		}
	case 10:
		p.takeRequests(1 + int(what>>4)%4)
	case 11, 12:
		p.answer(s.upTo(8), s.next())
	case 13:
		<-time.After(time.Duration(1+s.upTo(100)) * time.Millisecond)
	case 14:
		p.reconfigure(what >> 4)
	case 15:
		p.relocate(what >> 4)
	}
}

func (p *player) client() *client { return p.clients[p.script.upTo(len(p.clients))] }

// size is one of a payload, on both sides of every bound.
func (p *player) size() int {
	b, big, most := int(p.script.next()), p.settings.BigFrameBytes, p.settings.FrameBytesMax
	if p.settings.FrameBytesMaxUnauthenticated > 0 {
		most = min(most, p.settings.FrameBytesMaxUnauthenticated)
	}
	switch {
	case b >= 248:
		b = most - (255 - b)
	case b >= 232:
		b = most * (b - 231) / 16
	case b >= 216:
		b = big + b - 224
	}
	return min(b, most)
}

// reconfigure gives the listener other settings, live.
func (p *player) reconfigure(which byte) {
	s := &p.settings
	switch which % 6 {
	case 0:
		s.PipelineMax = pick(p.script, 1, 2, 5, 9)
	case 1:
		s.BigFrameBytes = pick(p.script, 64, 512, 32<<10)
	case 2:
		s.HeldBytesMax = pick(p.script, 8, 200, 64<<10)
	case 3:
		s.QueuedBytesMax = pick(p.script, 1, 500, 64<<10)
	case 4:
		s.PackedBytesMax = pick(p.script, 8, 100, 1000)
	case 5:
		s.Priority = !s.Priority
	}
	p.listener.Change(*s)
	for _, s := range p.stepped {
		s.processor.Refresh()
	}
}

// relocate moves connections, or takes some out.
func (p *player) relocate(which byte) {
	first, last := p.stepped[0].processor, p.stepped[len(p.stepped)-1].processor
	switch {
	case which%4 == 0:
		one := p.stepped[p.script.upTo(len(p.stepped))].processor
		one.Nominate("", func(c processor.Candidate) {
			if !c.None() {
				p.evicts = true
				c.Evict(func(bool) {})
			}
		})
	case which%4 == 1:
		first.List()
	case first == last:
	case which == 15:
		last.Retire([]*processor.Processor{first})
	case which%4 == 2:
		first.Shed(1+p.script.upTo(3), last)
	default:
		last.Shed(1+p.script.upTo(3), first)
	}
}

// handleInline is the handler of processors that run it themselves.
func (p *player) handleInline(r reqchan.Request) { p.handle(r, p.clientOf(r.Conn()).handled, true) }

// takeRequests is a handler of the pool: it takes up to n.
func (p *player) takeRequests(n int) bool {
	var batch [64]*reqchan.Job
	n, _ = p.receiver.Receive(batch[:n])
	var home []*reqchan.Job
	for _, r := range batch[:n] {
		home = p.handleRun(r, home)
	}
	reqchan.Return(home)
	return n > 0
}

// handleRun handles a run, to its end if nothing speaks against it, and appends what is to
// be brought home.
func (p *player) handleRun(r *reqchan.Job, home []*reqchan.Job) []*reqchan.Job {
	for r != nil {
		n := p.clientOf(r.Conn).handled
		if p.clientOf(r.Conn).depth > 1 { // a lane with priority may have overtaken the other
			n = int(r.Seq)
		}
		p.handle(r.Request(), n, false)
		if !r.HandleReturned() {
			break
		}
		home = append(home, r)
		if r.Behind() != nil && p.script.upTo(8) == 7 {
			break // others wait
		}
		r = r.NextInRun()
	}
	return home
}

// handle looks at request n of its client and answers it, or keeps it for later.
func (p *player) handle(r reqchan.Request, n int, inline bool) {
	c := p.clientOf(r.Conn())
	h := heldRequest{r, c, n}
	p.mustBe(h)
	inFlight := c.comes(p, h.n)
	if inFlight > c.depth || !inline && p.share > 0 && inFlight > p.share {
		p.fault("%d requests of client %d are with handlers", inFlight, c.number)
	}
	how := p.script.next()
	if how >= 0xc0 {
		p.answer(0, 0) // that of another, from within this handler
	}
	if how%4 == 3 {
		p.held = append(p.held, h)
	} else {
		p.answerTo(h, how>>2, inline)
	}
}

// mustBe says that a request is what its client sent.
func (p *player) mustBe(h heldRequest) {
	if h.n >= h.c.whole() {
		p.fault("client %d sent %d requests, and this is number %d", h.c.number, h.c.whole(), h.n)
	} else if want := requestOf(h.c.number, h.n, h.c.sizes[h.n]); !bytes.Equal(h.r.Payload(), want) {
		p.fault("request %d of client %d is not what it sent (%d bytes for %d))", h.n, h.c.number, len(h.r.Payload()), len(want))
	}
}

// answer gives the answer to a request that was kept, false when there is none.
func (p *player) answer(which int, how byte) bool {
	if len(p.held) == 0 {
		return false
	}
	which %= len(p.held)
	h := p.held[which]
	p.held = append(p.held[:which], p.held[which+1:]...)
	p.mustBe(h) // still: its memory is the handler's until the answer
	p.answerTo(h, how, false)
	return true
}

// answerTo answers in one of the ways that there are.
func (p *player) answerTo(h heldRequest, how byte, inline bool) {
	r, wait := h.r, func() time.Duration { return time.Duration(1+p.script.upTo(100)) * time.Millisecond }
	own := func() []byte { return responseOf(h.c.number, h.n, p.size()) }
	sends := func(b []byte) []byte { h.c.answer(h.n, answer{sends: true, response: bytes.Clone(b)}); return b }
	ends := func(why reqchan.CloseReason, b []byte) reqchan.CloseReason {
		h.c.answer(h.n, answer{sends: b != nil, response: bytes.Clone(b), closes: why})
		return why
	}
	switch how % 16 {
	default:
		r.Respond(sends(r.Payload()))
	case 1:
		r.Respond(sends(r.Payload()[:len(r.Payload())/2]))
	case 2, 3:
		b := own()
		r.Respond(r.Buffer(len(b))[:copy(r.Buffer(len(b)), sends(b))])
	case 4, 5:
		r.Respond(sends(own()))
	case 6:
		h.c.answer(h.n, answer{})
		r.NoResponse()
	case 7:
		r.Throttle(wait())
		r.Respond(sends(own()))
	case 8:
		r.Throttle(wait())
		h.c.answer(h.n, answer{})
		r.NoResponse()
	case 9:
		r.CloseConnection(ends(reqchan.HandlerClosed, nil))
	case 10:
		b := own()
		r.CloseConnectionAfter(ends(reqchan.AuthenticationFailed, b), wait(), b)
	case 11:
		r.CloseConnectionAfter(ends(reqchan.AuthenticationFailed, nil), wait(), nil)
	case 12:
		why := ends(reqchan.HandlerPanicked, nil)
		if inline {
			panic("as the script says")
		}
		r.CloseConnection(why)
	}
}

// serveAll has every client write what it has and read what there is, and every
// request answered; it says whether anything happened.
func (p *player) serveAll() (happened bool) {
	for _, c := range p.clients {
		happened = c.write(p, 1<<20) || happened
		happened = c.read(p, 1<<20) || happened
	}
	for p.takeRequests(64) || p.answer(0, 0) {
		happened = true
	}
	return happened
}

// mustBeBare says that a stage at rest keeps nothing of what went by.
func (p *player) mustBeBare(what string) {
	if left := p.residue(); left != "" {
		p.fault("%s, and at rest: %s", what, left)
	}
	for _, s := range p.stepped {
		if n := s.processor.Slots(); n > p.openMost {
			p.fault("processor %d has %d slots for at most %d connections", s.number(), n, p.openMost)
		}
	}
	p.mind()
}

func (p *player) residue() (text string) {
	for _, s := range p.stepped {
		if left := s.processor.Residue(); left != "" && !s.over {
			text += fmt.Sprintf("processor %d has %s; ", s.number(), left)
		}
	}
	return text
}
