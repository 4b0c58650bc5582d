package enginetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
)

// owner is the goroutine of a case. It submits, polls, gives each completion to its
// connection or listener, and checks what must hold for every completion.
type owner struct {
	testing.TB
	suite *suite
	net   engine.Network
	wait  engine.Wait
	e     engine.Engine
	pool  *slab.Pool
	done  []engine.Completion

	places   []place // by the slot of a token
	leases   int     // lent, not recycled
	recycled uint64  // Recycles so far
	starved  []*conn // ended with -ENOBUFS, to be re-armed after a Recycle
	streams  pattern // numbers the patterns
	tasks    []*task
	peers    []Peer

	listeners []PeerListener

	completed uint64
	exhausted uint64
	ended     bool // everything was closed
}

// place is a slot; its generation counts its uses.
type place struct {
	generation uint32
	conn       *conn
	door       *door
}

func newOwner(t testing.TB, s *suite, n engine.Network, w engine.Wait) *owner {
	pool := &slab.Pool{}
	if u, ok := n.(engine.MemoryUser); ok && u.MemoryWanted() > 0 {
		b, err := pool.Reserve(u.MemoryWanted())
		if err != nil {
			t.Fatal(err)
		}
		u.UseMemory(b)
	}
	e, err := n.Open(w)
	if err != nil {
		t.Fatalf("open an engine that waits %s: %v", w, err)
	}
	return &owner{TB: t, suite: s, net: n, wait: w, e: e, pool: pool, done: make([]engine.Completion, 64)}
}

// until polls until cond holds. Poll gets all the time there is: a completion or
// a Wake that is lost shows as a failure, not as a delay.
func (o *owner) until(what string, cond func() bool) {
	o.Helper()
	for end := time.Now().Add(patience); !cond(); {
		left := time.Until(end)
		if left <= 0 {
			o.Fatalf("not within %v: %s\n%s", patience, what, o.outstanding())
		}
		o.poll(left)
	}
}

// poll is one Poll.
func (o *owner) poll(wait time.Duration) int {
	o.Helper()
	n, err := o.e.Poll(o.done, wait)
	if err != nil {
		o.Fatalf("the engine died: %v", err)
	}
	if n < 0 || n > len(o.done) {
		o.Fatalf("Poll returned %d completions in room for %d", n, len(o.done))
	}
	for i := range o.done[:n] {
		o.completed++
		o.route(&o.done[i])
	}
	return n
}

// quiet polls for a short while and wants nothing to come.
func (o *owner) quiet(why string) {
	o.Helper()
	before := o.completed
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		o.poll(time.Millisecond)
	}
	if o.completed != before {
		o.Fatalf("%d completions although %s", o.completed-before, why)
	}
}

func (o *owner) route(c *engine.Completion) {
	o.Helper()
	slot := c.Token.Slot()
	if int(slot) >= len(o.places) {
		o.Fatalf("completion for token %s that nobody has: %s res %d", c.Token, c.Op, c.Res)
	}
	p := &o.places[slot]
	if c.Token.Generation() != p.generation || (p.conn == nil && p.door == nil) {
		o.Fatalf("%s res %d for token %s after its last word (the slot is at generation %d)", c.Op, c.Res, c.Token, p.generation)
	}
	if (c.Data != nil) != (c.Op == engine.OpRecv && c.Res > 0) {
		o.Fatalf("%s res %d carries %d bytes of data", c.Op, c.Res, len(c.Data))
	}
	if p.door != nil {
		p.door.complete(c)
		return
	}
	p.conn.complete(c)
}

// assign takes the lowest free slot, so that slots are used again soon.
func (o *owner) assign(c *conn, d *door) engine.Token {
	i := 0
	for i < len(o.places) && (o.places[i].conn != nil || o.places[i].door != nil) {
		i++
	}
	if i == len(o.places) {
		o.places = append(o.places, place{})
	}
	p := &o.places[i]
	p.generation, p.conn, p.door = p.generation+1, c, d
	return engine.MakeToken(uint32(i), p.generation)
}

func (o *owner) release(t engine.Token) {
	p := &o.places[t.Slot()]
	p.conn, p.door = nil, nil
}

// conns are the connections that live.
func (o *owner) conns() (all []*conn) {
	for i := range o.places {
		if c := o.places[i].conn; c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (o *owner) doors() (all []*door) {
	for i := range o.places {
		if d := o.places[i].door; d != nil {
			all = append(all, d)
		}
	}
	return all
}

// recycle gives lent memory back and re-arms whom its lack had stopped.
func (o *owner) recycle(c *engine.Completion) {
	o.Helper()
	o.e.Recycle(c)
	o.leases--
	o.recycled++
	if c.Data != nil {
		o.Fatal("Recycle left Data in the completion")
	}
	starved := o.starved
	o.starved = nil
	for _, s := range starved {
		if s.keep && s.receiving == 0 {
			s.recv()
		}
	}
}

// outstanding says what is under way, for a failure's message.
func (o *owner) outstanding() string {
	var b strings.Builder
	for _, d := range o.doors() {
		fmt.Fprintf(&b, "  listener %s: armed %t, %d waiting\n", d.token, d.armed, len(d.accepted))
	}
	for _, c := range o.conns() {
		fmt.Fprintf(&b, "  connection %s fd %d: receiving %v, %d received, sending %t, %d sent of %d, closing %t, %d held, ends %v\n",
			c.token, c.fd, c.receiving, c.received, c.sending, c.sent, c.queued, c.closing, len(c.held), c.ends)
	}
	fmt.Fprintf(&b, "  %d leases out, %d completions, %d starved", o.leases, o.completed, len(o.starved))
	for _, t := range o.tasks {
		if !t.over() {
			fmt.Fprintf(&b, "\n  peer still %s", t.name)
		}
	}
	return b.String()
}

// task is what a peer does on a goroutine of its own.
type task struct {
	name string
	done chan struct{}
	err  error // set before done is closed
}

func (t *task) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// peer starts a task; its end wakes the owner.
func (o *owner) peer(name string, do func() error) *task {
	t := &task{name: name, done: make(chan struct{})}
	o.tasks = append(o.tasks, t)
	e := o.e
	go func() {
		t.err = do()
		close(t.done)
		e.Wake()
	}()
	return t
}

// await polls until the tasks ended, and wants them to have gone well.
func (o *owner) await(tasks ...*task) {
	o.Helper()
	for _, t := range tasks {
		o.until("peer "+t.name, t.over)
		if t.err != nil {
			o.Fatalf("peer %s: %v\n%s", t.name, t.err, o.outstanding())
		}
	}
}

// finish closes everything as the contract says and checks that all came home.
func (o *owner) finish() {
	o.Helper()
	if o.ended {
		return // the case closed the engine itself
	}
	for _, d := range o.doors() {
		d.close()
	}
	for _, c := range o.conns() {
		c.end()
	}
	o.until("every connection closed", func() bool { return len(o.conns()) == 0 })
	o.endPeers()
	n := o.e.Counters()
	if lent := n.LentBytes.Load(); lent != 0 || o.leases != 0 {
		o.Errorf("%d bytes are lent although every lease was recycled (%d out)", lent, o.leases)
	}
	if completed := n.Completed.Load(); completed != o.completed {
		o.Errorf("Counters.Completed is %d, Poll returned %d", completed, o.completed)
	}
	if exhausted := n.Exhausted.Load(); exhausted != o.exhausted {
		o.Errorf("Counters.Exhausted is %d, %d receives ended with -ENOBUFS", exhausted, o.exhausted)
	}
	o.closeEngine()
	if lent := o.pool.Lent(); lent != 0 {
		o.Errorf("%d pieces of memory did not come home", lent)
	}
	o.ended = true
}

func (o *owner) closeEngine() {
	o.Helper()
	if err := o.e.Close(); err != nil {
		o.Errorf("Close: %v", err)
	}
	o.e.Wake() // harmless after Close
}

// endPeers ends what peers still do; a reset leaves no TIME_WAIT behind.
func (o *owner) endPeers() {
	o.Helper()
	for _, l := range o.listeners {
		_ = l.Close() // fails for those that the case closed itself
	}
	for _, p := range o.peers {
		_ = p.Reset() // fails for those that the case closed itself
	}
	for _, t := range o.tasks {
		select {
		case <-t.done:
		case <-time.After(patience):
			o.Errorf("peer still %s", t.name)
		}
	}
}

// abandon cleans up behind a case that failed half-way.
func (o *owner) abandon() {
	if o.ended {
		return
	}
	_ = o.e.Close()
	for i := range o.places {
		p := &o.places[i]
		if p.door != nil {
			p.door.discard()
		}
		if p.conn != nil && !p.conn.closing {
			o.net.Discard(p.conn.fd)
		}
	}
	o.endPeers()
}
