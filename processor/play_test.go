package processor_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/capacity"
	"kring/internal/faultengine"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

// player is a stage whose processors are coroutines: everything happens on one
// goroutine, in the order that the script says. An acceptor stands at the first
// processor's engine; handlers and clients are the script itself.
type player struct {
	t          *testing.T
	script     *scriptBytes
	dice       *diceBytes
	network    *faultengine.Network
	heldMemory *capacity.Capacity
	channel    *reqchan.Channel
	receiver   *reqchan.Receiver
	responses  *budget.Budget
	acceptor   *acceptor.Acceptor
	listener   *processor.Listener
	stepped    []*stepper
	clients    []*client
	held       []heldRequest // with handlers, not answered
	faults     []string

	settings processor.Settings
	share    int  // InFlightShare
	depth    int  // the deepest pipeline that there ever was
	rough    bool // connections break by themselves
	ending   int  // how the script shall end
	draining bool
	cut      bool
	dead     bool
	evicts   bool
	asked    int // bytes of payloads
	open     int // connections adopted and not closed
	openMost int
}

// The memory and the quota of all scripts: they must be as before after each.
var (
	playMemory    slab.Pool
	playAdmission = must(acceptor.NewAdmission(acceptor.AdmissionConfig{}))
	playQuota     = must(playAdmission.OpenListener("PLAY"))
)

// playMappedMax is far more than any script needs: memory doesn't grow with their
// number.
const playMappedMax = 64 << 20

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// playTakes is what makes the budget of responses tight, and leaves enough for a play.
const playTakes = 40 << 20

// How a script ends.
const (
	endAtRest   = iota // every client is served, then closes
	endDraining        // the server drains while requests are in flight
	endCut             // the server cuts every connection
	endDead            // the engines die
	endings
)

func newPlay(t *testing.T, script *scriptBytes, dice *diceBytes) *player {
	<-time.After(40 * 365 * 24 * time.Hour) // a bubble begins in 2000: before this process did
	p := &player{t: t, script: script, dice: dice}
	p.network = faultengine.New(p.drawFaults())
	s := script
	p.ending = s.upTo(endings)
	p.share = pick(s, 0, 0, 1, 2)
	p.settings = processor.Settings{
		FrameBytesMax:                pick(s, 300, 5000, 70_000),
		FrameBytesMaxUnauthenticated: pick(s, 0, 0, 0, 100),
		BigFrameBytes:                pick(s, 128, 1024, 16<<10),
		PackedBytesMax:               pick(s, 16, 200, 4096),
		PipelineMax:                  pick(s, 1, 2, 3, 8),
		HeldBytesMax:                 pick(s, 16, 300, 32<<10),
		QueuedBytesMax:               pick(s, 1, 300, 128<<10),
		SlowReader:                   pick(s, processor.SlowReaderPause, processor.SlowReaderPause, processor.SlowReaderThrottle, processor.SlowReaderClose),
		ThrottleMax:                  time.Second,
		IdleTimeout:                  pick(s, 0, 0, 0, 50*time.Millisecond),
		WriteTimeout:                 pick(s, 0, 0, 0, 50*time.Millisecond),
		FrameTimeout:                 pick(s, 0, 0, 0, 50*time.Millisecond),
		Priority:                     s.upTo(4) == 3,
	}
	p.depth = p.settings.PipelineMax
	inline, processors := s.upTo(2) == 0, 1+s.upTo(2)
	least := int64(processors*processor.HoardedBytesMax + max(p.settings.FrameBytesMax+4, slab.PieceBytesMin))
	p.heldMemory = capacity.New(200 << 10) // less than what two processors may hoard: it is scarce now and then
	p.channel = reqchan.New(reqchan.Config{RequestsMax: pick(s, 1, 2, 3, 8), BytesMax: pick(s, least, 64<<20)})
	p.receiver = p.channel.NewReceiver(func() bool { return true }) // it never sleeps
	p.responses = budget.New(64 << 20)
	if processors > 1 { // somebody else has most of it
		p.responses.Change(0, playTakes)
	}
	p.listener = processor.NewListener("PLAY", false, p.settings)
	p.openProcessors(processors, inline)
	return p
}

// drawFaults reads what the engine shall be like.
func (p *player) drawFaults() faultengine.Config {
	s := p.script
	c := faultengine.Config{
		Seed: 1, Dice: p.dice, LateMax: lateMax, Report: func(err error) { p.fault("%v", err) },
		Buffers: pick(s, 1, 2, 4, 16), BufferBytes: pick(s, 16, 64, 300, 4096),
		ReceiveWindowBytes: pick(s, 64, 1024, 64<<10), SendWindowBytes: pick(s, 64, 1024, 64<<10),
	}
	which := uint(s.next()) | uint(s.next())<<8
	for i, chance := range []struct {
		of   *float64
		some float64
	}{
		{&c.ShortRecv, .4}, {&c.ShortSend, .4}, {&c.Late, .4}, {&c.LateCancel, .6}, {&c.Reorder, .6},
		{&c.EndEarly, .3}, {&c.Exhaust, .3}, {&c.ShortPoll, .4}, {&c.StallSend, .4}, {&c.FailAccept, .3},
		{&c.FailClose, .3}, {&c.SpuriousPoll, .2},
	} {
		if which>>i&1 != 0 {
			*chance.of = chance.some
		}
	}
	if p.rough = which>>14 == 3; p.rough {
		c.FailRecv, c.FailSend = .1, .1
	}
	return c
}

func (p *player) openProcessors(n int, inline bool) {
	var assigners []acceptor.Assigner
	for i := range n {
		s := &stepper{}
		cfg := processor.Config{
			ID: uint32(i), Network: steppedNetwork{p.network, s}, AssignedMax: 4,
			ConnConfig: processor.ConnConfig{
				Memory: &playMemory, Held: p.heldMemory, Channel: p.channel, InFlightShare: p.share, Responses: p.responses,
				Hooks: processor.Hooks{Opened: p.opened, Closed: p.closed},
			},
		}
		if inline {
			cfg.Handle = p.handleInline
		}
		s.begin(processor.New(cfg))
		p.stepped = append(p.stepped, s)
		assigners = append(assigners, s.processor.InboxFor(p.listener))
	}
	p.acceptor = must(acceptor.New(acceptor.Config{
		Name: "PLAY", Network: p.network, Listen: engine.ListenConfig{Address: "127.0.0.1:0"},
		Assigners: assigners, Quota: playQuota, LeastConns: true,
	}))
	p.stepped[0].processor.HostAcceptor(p.acceptor)
}

// fault notes what is wrong; the script ends with it.
func (p *player) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// mind ends the script if something is wrong.
func (p *player) mind() {
	if len(p.faults) > 0 {
		p.t.Helper()
		p.t.Fatalf("%s\nlast steps:\n%s", strings.Join(p.faults, "\n"), p.network.Trace())
	}
}

// leave ends the coroutines, also those of a script that failed.
func (p *player) leave() {
	for _, s := range p.stepped {
		s.stop()
	}
}

// end brings the script to its end and looks whether anything is left.
func (p *player) end() {
	p.dice.calm = true
	if p.ending == endDead {
		p.die()
	} else {
		p.shutDown()
	}
	p.check()
	p.mind()
}

// shutDown ends the stage in the server's order.
func (p *player) shutDown() {
	if p.ending == endAtRest {
		p.rest("served")
		for _, c := range p.clients {
			c.mustBeServed(p)
			c.close()
		}
		p.rest("closed")
	}
	p.acceptor.Stop()
	p.draining = true
	for _, s := range p.stepped {
		s.processor.Drain()
	}
	if p.ending == endCut {
		p.cutAll()
	}
	p.rest("drained")
	for _, s := range p.stepped {
		select {
		case <-s.processor.Drained():
		default:
			p.fault("processor %d has not drained, with every request answered and every response read", s.number())
		}
	}
	p.mind()
	for _, c := range p.clients {
		c.mustBeServed(p)
	}
	p.channel.Close()
	for _, s := range p.stepped {
		s.processor.Stop()
	}
	p.rest("stopped")
	for _, s := range p.stepped {
		if !s.over || s.err != nil {
			p.fault("processor %d was stopped: over %t, %v", s.number(), s.over, s.err)
		}
	}
}

func (p *player) cutAll() {
	p.cut = true
	for _, s := range p.stepped {
		s.processor.Cut()
	}
}

// die answers what is with handlers, so that nobody holds memory that nobody
// could take back, and kills the engines.
func (p *player) die() {
	for p.takeRequests(64) || p.answer(0, 0) {
	}
	p.dead = true
	p.network.Kill()
	for _, s := range p.stepped {
		for !s.over {
			s.step()
		}
		if s.err == nil {
			p.fault("processor %d does not say that its engine died", s.number())
		}
	}
	p.channel.Close()
}

// check looks for what did not come home.
func (p *player) check() {
	if n := playMemory.Lent(); n != 0 {
		p.fault("%d pieces of memory did not come home", n)
		playMemory = slab.Pool{} // for the scripts to come
	}
	if n := playMemory.Mapped(); n > playMappedMax {
		p.fault("%d bytes are mapped", n)
	}
	if n := p.responses.Stats().Used; n != 0 && n != playTakes {
		p.fault("%d bytes of the budget of responses did not come home", n%playTakes)
	}
	if n := p.channel.Bytes(); n != 0 {
		p.fault("%d bytes of the channel's capacity did not come home", n)
	}
	if n := p.heldMemory.Used(); n != 0 {
		p.fault("%d bytes of what may be held did not come home", n)
	}
	if n := p.listener.Open(); n != 0 || p.open != 0 {
		p.fault("the listener counts %d connections, and %d opened that did not close", n, p.open)
	}
	if n := playAdmission.Open(); n != int64(p.open) {
		p.fault("%d slots are still taken", n)
	}
	if err := p.network.Check(); err != nil {
		p.fault("%v", err)
	}
}
