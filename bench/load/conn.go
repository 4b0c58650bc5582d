package load

import "runtime"

// conn is one busy connection. Requests have numbers in the order they are
// sent, and responses come in that order, so four counters are all it takes:
// done <= sent <= granted <= due.
//
// With thousands of them each field is as far away as its cache line: what an
// answer needs lies together, the only entry of at included.
type conn struct {
	t       *template // what it sends
	due     uint64    // requests that should have left by now
	granted uint64    // requests that may leave: there is room in flight
	sent    uint64    // requests that left whole
	done    uint64    // responses that came whole
	// at holds when each request in flight was granted, by its number.
	at   []int64
	only [1]int64 // at, of one in flight
	// out is memory to send from: the request again and again. Connections of
	// one template and thread share it, because nothing stays in it.
	out     []byte
	id      uint32
	sentOff int32 // bytes of request number sent that left already
	gotOff  int32 // bytes of response number done that came already
	index   int32 // among its thread's connections
	alive   bool

	link // what the thread's kind of connection needs beside
}

// core is what every kind of thread does with its connections; it makes no
// system calls.
//
// Owner: one thread, or whoever holds the lock of the portable thread.
type core struct {
	cfg      *Config
	mix      *mix
	outs     map[*template][]byte
	rec      *record
	win      *window
	conns    []*conn
	plan     plan
	inFlight int  // due and not done, over all connections
	mask     int  // of conn.at
	depth    int  // the most in flight per connection
	all      bool // look at every receive: the warm-up
	receives uint // so far
	stopped  bool // grant nothing new: the window is over
}

// plan is the open loop's timetable: requests leave in groups of together, each
// on one connection. Group g of the thread is due at first + g*step, on
// connection g mod n.
type plan struct {
	first, step float64
	together    uint64
	next        uint64 // request
	// From request stood on everything is later by stoodFor.
	stood    uint64
	stoodFor int64
}

func (p *plan) due(k uint64) int64 {
	at := int64(p.first + float64(k/p.together)*p.step)
	if k >= p.stood {
		at += p.stoodFor
	}
	return at
}

// stand moves what is still to leave by a time in which the generator itself
// stood still: else the server would find all of it at once.
func (p *plan) stand(d int64) { p.stood, p.stoodFor = p.next, d }

// number is which of the thread's requests is seq of a connection, of n.
func (p *plan) number(seq uint64, index, n int) uint64 {
	return (seq/p.together*uint64(n)+uint64(index))*p.together + seq%p.together
}

// scratchBytes bounds what is sent at once, beyond one request.
const scratchBytes = 256 << 10

func newCore(c *Config, m *mix, w *window) *core {
	depth := c.Depth
	if c.IsOpen() {
		depth = c.InFlightMax
	}
	ring := 1
	for ring < depth {
		ring *= 2
	}
	x := &core{cfg: c, mix: m, outs: map[*template][]byte{}, rec: newRecord(c.IsOpen()), win: w, depth: depth, mask: ring - 1, all: true}
	x.rec.slice(c.Slice, c.Duration)
	return x
}

func (x *core) newConn(id int) *conn {
	c := &conn{id: uint32(id), index: int32(len(x.conns)), alive: true, t: x.mix.of(id)}
	if c.at = c.only[:]; x.mask > 0 {
		c.at = make([]int64, x.mask+1)
	}
	x.conns = append(x.conns, c)
	return c
}

// scratch is memory for conn.out.
func (x *core) scratch(t *template) []byte {
	n := max(1, min(scratchBytes/len(t.frame), x.depth))
	out := make([]byte, 0, n*len(t.frame))
	for range n {
		out = append(out, t.frame...)
	}
	return out
}

// shared is the scratch of t on this thread.
func (x *core) shared(t *template) []byte {
	out := x.outs[t]
	if out == nil {
		out = x.scratch(t)
		x.outs[t] = out
	}
	return out
}

// begin starts the loop, which all threads were told to at now: the closed one with all it may
// have in flight, the open one with its timetable. So a thread that comes late is late, and has
// no shorter timetable than the others.
func (x *core) begin(now int64, thread int) {
	if x.cfg.IsOpen() {
		x.plan.together = uint64(x.cfg.Depth)
		step := 1e9 / x.cfg.Rate * float64(x.cfg.Depth)
		x.plan.step = step * float64(x.cfg.Threads)
		x.plan.first = float64(now) + step*float64(thread)
		return
	}
	for _, c := range x.conns {
		for range x.depth {
			x.demand(c, now)
		}
	}
}

// demand makes the connection's next request due, and grants it if there is
// room in flight.
func (x *core) demand(c *conn, now int64) {
	c.due++
	x.inFlight++
	if !x.grant(c, now) {
		x.rec.late++
	}
}

func (x *core) grant(c *conn, now int64) bool {
	if c.granted == c.due || c.granted-c.done >= uint64(x.depth) {
		return false
	}
	c.at[int(c.granted)&x.mask] = now
	c.granted++
	return true
}

// demandDue makes due whatever the timetable says, and calls touched for each
// connection that has something to send. What was due inside the window stays
// due after it: a generator that was late must not forgive the server for it.
func (x *core) demandDue(now int64, touched func(*conn)) {
	for {
		due := x.plan.due(x.plan.next)
		if due > now || x.rec.end != 0 && due >= x.rec.end {
			return
		}
		c := x.conns[x.plan.next/x.plan.together%uint64(len(x.conns))]
		x.plan.next++
		if c.alive {
			x.demand(c, now)
			touched(c)
		}
	}
}

// dueOf is when request seq of c was meant to leave.
func (x *core) dueOf(c *conn, seq uint64) int64 {
	if x.cfg.IsOpen() {
		return x.plan.due(x.plan.number(seq, int(c.index), len(x.conns)))
	}
	return c.at[int(seq)&x.mask]
}

// toSend is the next bytes to give to the kernel for c, in its out; none when
// it has nothing to say.
func (x *core) toSend(c *conn) []byte {
	frame := len(c.t.frame)
	n := min(int(c.granted-c.sent), len(c.out)/frame)
	for i := range n {
		c.t.stamp(c.out[i*frame:], c.t.tag(c.id, c.sent+uint64(i)))
	}
	return c.out[min(int(c.sentOff), n*frame) : n*frame]
}

// took notes that the kernel took n bytes of toSend.
func (x *core) took(c *conn, n int) {
	n += int(c.sentOff)
	c.sent += uint64(n / len(c.t.frame))
	c.sentOff = int32(n % len(c.t.frame))
}

// got works off received bytes; false means that they are not what must come,
// and that the connection is of no further use. Replies that came together are
// recorded together.
func (x *core) got(c *conn, b []byte, now int64) bool {
	size, whole := c.t.replyBytes, 0
	for len(b) > 0 {
		if c.done+uint64(whole) == c.sent {
			x.complete(c, whole, now)
			return false // nothing was asked
		}
		n := min(len(b), size-int(c.gotOff))
		if !x.right(c, b[:n], c.done+uint64(whole)) {
			x.complete(c, whole, now)
			return false
		}
		b = b[n:]
		if c.gotOff += int32(n); int(c.gotOff) == size {
			c.gotOff = 0
			whole++
		}
	}
	x.complete(c, whole, now)
	return true
}

// right says whether b, of response seq from c.gotOff on, is what must come.
func (x *core) right(c *conn, b []byte, seq uint64) bool {
	tag := c.t.tag(c.id, seq)
	if len(b) == c.t.replyBytes {
		return c.t.whole(b, tag) && c.t.content(b, 0)
	}
	return c.t.piece(b, int(c.gotOff), tag) && c.t.content(b, int(c.gotOff))
}

// looksEvery: of so many receives one is looked at after the warm-up.
const looksEvery = 16

// looks says whether the next receive is to be compared byte by byte. The bytes of
// the others are counted: a server that answers in another size than it was asked
// is found by the next one that is.
func (x *core) looks() bool {
	x.receives++
	return x.all || x.cfg.Verify || x.cfg.Kind != Frames || x.receives%looksEvery == 0
}

// skip works off n bytes that came and were not looked at; false means that they
// are more than must come.
func (x *core) skip(c *conn, n int, now int64) bool {
	n += int(c.gotOff)
	whole := n / c.t.replyBytes
	left := n % c.t.replyBytes
	if asked := int(c.sent - c.done); whole > asked || whole == asked && left > 0 {
		x.complete(c, asked, now)
		return false
	}
	c.gotOff = int32(left)
	x.complete(c, whole, now)
	return true
}

// adopt takes the window over once it is open. Every answer looks until then:
// one that comes between two looks of the thread belongs to the window too.
func (x *core) adopt() {
	start := x.win.start.Load()
	for ; start == opening; start = x.win.start.Load() {
		runtime.Gosched()
	}
	if start != 0 {
		x.rec.span = span{start, x.win.end.Load()}
	}
}

// complete records n responses that are here at now, and makes as many requests
// due in the closed loop.
func (x *core) complete(c *conn, n int, now int64) {
	if n == 0 {
		return
	}
	if x.rec.start == 0 {
		x.adopt()
	}
	for i := 0; i < n; {
		i += x.record(c, n-i, now)
	}
	x.inFlight -= n
	switch {
	case x.cfg.IsOpen():
		for range n {
			x.grant(c, now)
		}
	case !x.stopped:
		for range n {
			x.demand(c, now)
		}
	}
}

// record records the next response of c, and those of the n that follow it whose
// requests were due and sent when its was; it gives how many.
func (x *core) record(c *conn, n int, now int64) int {
	due, sent, same := x.dueOf(c, c.done), c.at[int(c.done)&x.mask], 1
	for same < n && c.at[int(c.done+uint64(same))&x.mask] == sent && (!x.cfg.IsOpen() || x.dueOf(c, c.done+uint64(same)) == due) {
		same++
	}
	c.done += uint64(same)
	x.rec.answer(due, sent, now, same)
	return same
}

// lose takes c out of the run; what it had in flight stays unanswered.
func (x *core) lose(c *conn) {
	if !c.alive {
		return
	}
	c.alive = false
	missing := c.due - c.done
	x.inFlight -= int(missing)
	x.rec.errors.Unanswered += missing
}

// finish counts what never came.
func (x *core) finish() {
	for _, c := range x.conns {
		if c.alive && c.due > c.done {
			x.rec.fail(&x.rec.errors.Unanswered, func() string { return "no answer within the drain timeout" })
			x.rec.errors.Unanswered += c.due - c.done - 1
		}
	}
	x.rec.flush()
}
