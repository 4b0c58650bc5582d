package conn

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/capacity"
	"kring/internal/slab"
	"kring/reqchan"
)

// Loop is what a connection has done. Its calls are made while one of the connection's
// inputs runs, in the order in which they have to happen; none of them calls the
// connection back before that returns.
//
// It is an interface and not a list of actions that an input returns: the order between
// two actions matters, some of them carry memory, and a call costs less than to write an
// action down and to read it again. There is one call for what a pass receives or sends on
// a connection, none for each request that is handled in place.
type Loop interface {
	// Receive has whatever comes go to Received, until it is cancelled.
	Receive(c *Conn)
	// ReceiveInto has buf filled, and then Filled called.
	ReceiveInto(c *Conn, buf []byte)
	// ReceiveLarge has up to n bytes go to Received, once, in a large buffer.
	ReceiveLarge(c *Conn, n int)
	// CancelReceive ends any of the three, whose last completion is the answer.
	CancelReceive(c *Conn)
	// Send has bufs sent, and then Sent called.
	Send(c *Conn, bufs [][]byte)
	// ReadFile has buf filled from a file, and then FileRead called.
	ReadFile(c *Conn, file *os.File, buf []byte, offset int64)
	// Connect connects it, and then has Connected called.
	Connect(c *Conn, to netip.AddrPort)
	// Shutdown ends what is outstanding on the socket.
	Shutdown(c *Conn)
	// ShutdownSend has the peer read an end behind what was sent. No Send is outstanding.
	ShutdownSend(c *Conn)
	// Close closes the descriptor, and then has Closed called. Nothing is outstanding.
	Close(c *Conn)
	// Progress is how far the bytes have come beyond what completions tell; false where
	// nobody knows.
	Progress(c *Conn) (engine.Progress, bool)
	// Recycle gives back a receive buffer that a request lay in.
	Recycle(done *engine.Completion)

	// SendLater has Send called at the end of this pass.
	SendLater(c *Conn)
	// RetryLater has Retry called in the next pass, when there may be a receive buffer.
	RetryLater(c *Conn)
	// RetryWithBytes has Retry called when so many bytes of the channel's capacity may be
	// free: of those that all share, or, with fromCredit, of the processor's own as well.
	RetryWithBytes(c *Conn, bytes int64, fromCredit bool)
	// SetAlarm has AlarmRang called at a time of reqchan.Now, and at no other; ClearAlarm
	// never.
	SetAlarm(c *Conn, at int64)
	ClearAlarm(c *Conn)
	// Submit has f called between two inputs, soon, with the connection of this token,
	// unless its life has ended. Any goroutine.
	Submit(token engine.Token, f func(*Conn))
	// MigrateLater has the connection handed over at the end of this pass, if CanMigrate
	// still says so.
	MigrateLater(c *Conn)

	// Enqueue hands a request to the handlers, which may begin a run; first: before others.
	// Returned brings it home.
	Enqueue(r *reqchan.Job, first bool)
	// Postpone takes a request that came home without an answer, to be enqueued again
	// when there is room for its response.
	Postpone(r *reqchan.Job)
	// Identify judges a connection by the address of its client, which was not known
	// when it was admitted; see engine.Identifier.
	Identify(c *Conn, client netip.Addr) (engine.Verdict, time.Duration)
	// HeldScarce says that the memory of bytes that were not cut has become scarce:
	// every connection is to be told, by EndStream.
	HeldScarce()
	// SetDeadline has Expire called when a deadline of the settings may have passed, at
	// c.Earliest() or somewhat later: c has other settings now.
	SetDeadline(c *Conn)
}

// Config is what the connections of one processor have in common.
type Config struct {
	Memory *slab.Pool
	// Responses bounds the memory of responses over all processors; nil: nothing does.
	Responses *budget.Budget
	// Held is how much memory received bytes that are not cut may lie in, over all
	// processors, before they are received with more care; twice as much is never
	// exceeded. nil: there is no bound.
	Held *capacity.Capacity

	// Channel takes the requests to a pool of handlers, and bounds the bytes of
	// all requests. Handle, when set, runs on the processor itself instead of in
	// the pool and must not block.
	Channel *reqchan.Channel
	Handle  func(reqchan.Request)

	// InFlightShare is how many requests of one connection may be in the request
	// channel or with handlers at once; 0: as many as PipelineMax says.
	InFlightShare int
	// RunMax is how many requests of one connection go to a handler as one run, where
	// one is in flight at a time; 0 means reqchan.RunMax, which is the most.
	RunMax int
	// OneByOne: they go one by one, because each counts for itself. The processor says it.
	OneByOne bool
	// Priority says whether a request goes into the priority lane of the request
	// channel; its API, Version, Payload and Conn are there to be looked at. nil:
	// only those of listeners that have priority. It must not block.
	Priority func(reqchan.Request) bool
	// APIOf reads a payload's API key and version, -1 if it has none; nil: nobody
	// can tell. Deprecated says which versions should not be used any more; nil:
	// none. Neither may keep the payload or block.
	APIOf      func(payload []byte) (key, version int16)
	Deprecated func(key, version int16) bool
	// LongPoll names the APIs whose requests ask to wait: the latency of connections is
	// without theirs. nil: none.
	LongPoll func(key int16) bool
	// ClientIDs counts what connections do by their client ids; nil: nobody does.
	ClientIDs *reqchan.ClientIDs
	// SlowRequest is how long a request may take, beyond what its client asked to wait,
	// before Hooks.Slow is told; 0: it never is.
	SlowRequest time.Duration

	Hooks
}

// Hooks are called on the processor's goroutine and must not block. Nil ones
// are not called.
type Hooks struct {
	// Opened: a connection was adopted, and it is known whose it is. Closed: its descriptor
	// is closed. Refused: likewise, of one that was never Opened.
	Opened  func(*reqchan.Conn)
	Closed  func(*reqchan.Conn, reqchan.CloseReason)
	Refused func(*reqchan.Conn, reqchan.CloseReason)
	// Panicked: a handler panicked on the processor (Handle only).
	Panicked func(r reqchan.Request, v any, stack []byte)
	// Slow: a request took longer than Config.SlowRequest.
	Slow func(SlowRequest)
}

// Shared is what the connections of one processor share: the clock, the counts, and
// memory with its bounds. It belongs to the processor's goroutine.
type Shared struct {
	cfg   Config
	loop  Loop
	home  *reqchan.ResponseQueue // where answers of other goroutines come home to
	bytes *reqchan.Sender        // the way to the channel's capacity of bytes

	now       int64 // of reqchan.Now at the start of the pass
	waited    int64 // before now, after the Sends that completed with it were out
	phase     Phase // of the processor
	crowded   bool  // the request channel is full
	tellsMore bool  // Loop.Progress knows
	scarce    bool  // what is held is beyond Config.Held

	arena   *slab.Arena
	sizes   sizes
	outs    []*outbound // free ones, to be reused
	jobs    reqchan.Jobs
	direct  direct
	buffers buffers
	large   largeFrames
	away    int          // requests outside this goroutine's hands
	work    atomic.Int32 // goroutines of transports that have something to do
	batch   batch        // not queued yet
	runs    runs
	scratch scratch
	bounds  bounds

	count      Counts
	times      times
	deprecated deprecations
	ways       []*way  // free ones, to be reused
	touched    []*Conn // did something in this pass that counts with their client ids
}

// sizes are memory for sizes of big frames.
type sizes struct {
	free  []*[headBytes]byte
	pages [][]byte // what they lie in
}

// buffers are what of the engine's receive buffers is used.
type buffers struct {
	lease     *lease // of the completion that is being cut
	pinned    int    // receive buffers that unanswered requests lie in
	pinnedMax int    // of these
	counted   bool   // it is known how many there are
	opened    int    // pieces of openInto's memory that they lie in
	large     int    // large ones that requests or frames lie in
	isLarge   bool   // what is being cut lies in a large one
	unpinned  bool   // one came back since connections without a buffer were tried
	into      int    // bytes that the next Poll is to receive into large frames
	intoWaits bool   // somebody waits for the Poll after it
}

// largeFrames are the sizes of frames for large buffers, see engine.LargeReceiver; with most
// 0 there are none.
type largeFrames struct{ least, most int }

// runs are requests that go to a handler together.
type runs struct {
	cut       run // the one that is being cut
	max       int // requests in one
	fresh     int // requests that were started since Fresh was asked last
	followers int // requests in flight beside the first of each connection
	unbegun   int // requests that came home without being begun, and wait with their connections
}

// scratch is memory that is free between two calls of a transport.
type scratch struct {
	opened []byte            // what it opens into
	lent   engine.Completion // lends opened
	spare  [][]byte          // opened that requests have lain in; pinnedMax at most
	plain  []byte            // what it seals
}

// bounds are what this processor has of what all share.
type bounds struct {
	credit int64 // of the channel's bytes, reserved and unused
	held   int64 // of Config.Held, taken and unused
	output int64 // bytes of responses that are counted here, see holdOutput
	paid   int64 // what they count for in the budget of all responses
}

// direct is the request of handlers that run on the processor itself.
type direct struct {
	job     *reqchan.Job // the last one, unless it is still needed
	inside  bool         // a handler runs
	exiting *reqchan.Job // its handler has called runtime.Goexit
}

// NewShared makes what connections share whose answers come home to home, and which
// take of the channel's capacity of bytes by way of bytes.
func NewShared(cfg Config, loop Loop, home *reqchan.ResponseQueue, bytes *reqchan.Sender) *Shared {
	sh := &Shared{cfg: cfg, loop: loop, home: home, bytes: bytes, arena: slab.NewArena(cfg.Memory)}
	sh.times.recent = new(apiTimes)
	sh.runs.max = runMax(&cfg)
	sh.buffers.pinnedMax = pinnedMax
	sh.jobs.Budget = cfg.Responses
	return sh
}

// Tick is called when a pass begins: now is the clock. waited is how long before now what
// completes in this pass was out.
func (sh *Shared) Tick(now, waited int64) { sh.now, sh.waited = now, waited }

// Now is the clock as of the last Tick.
func (sh *Shared) Now() int64 { return sh.now }

// EnterPhase says how far the processor's life has come. The connections learn of it by
// ApplySettings.
func (sh *Shared) EnterPhase(ph Phase) {
	sh.phase = ph
	sh.unreserve(0) // what it hoards is for others now
}

// TellsMore says that Loop.Progress knows.
func (sh *Shared) TellsMore(knows bool) { sh.tellsMore = knows }

// UseLarge says for frames of which sizes Loop.ReceiveLarge is meant; with most 0 for none.
func (sh *Shared) UseLarge(least, most int) { sh.large = largeFrames{least, most} }

// UseBuffers says how many receive buffers there are; without it nobody knows.
func (sh *Shared) UseBuffers(n int) {
	sh.buffers.pinnedMax, sh.buffers.counted = min(pinnedMax, n/pinnedPart), true
}

// Crowded says whether the request channel is full.
func (sh *Shared) Crowded(is bool) { sh.crowded = is }

// Counts are for the processor to read, and to count what only it knows.
func (sh *Shared) Counts() *Counts { return &sh.count }

// Away is how many requests are outside this goroutine's hands.
func (sh *Shared) Away() int { return sh.away }

// TransportsWork says that goroutines of transports have something to do: they need a P.
func (sh *Shared) TransportsWork() bool { return sh.work.Load() > 0 }

// Went counts n requests out of this goroutine's hands; with a negative n they came back.
func (sh *Shared) Went(n int) { sh.away += n }

// Polls is called before every Poll: what it is asked for is counted anew.
func (sh *Shared) Polls() { sh.buffers.into = 0 }

// WaitsForPoll says that there is something to be received which had no room in one Poll.
func (sh *Shared) WaitsForPoll() bool { return sh.buffers.intoWaits }

// Fresh is how many requests for the handlers were started since ForgetFresh.
func (sh *Shared) Fresh() int { return sh.runs.fresh }

// ForgetFresh has Fresh count from 0 again.
func (sh *Shared) ForgetFresh() { sh.runs.fresh = 0 }

// BuffersCameBack says whether there may be a receive buffer for those who were refused
// one. Where it is known how many there are, some are back with the end of each Poll, because
// requests lie in half of them at most; else the processor's requests must lie in none, or
// have left one since this was asked last.
func (sh *Shared) BuffersCameBack() bool {
	is := sh.buffers.counted || sh.buffers.pinned == 0 || sh.buffers.unpinned
	sh.buffers.unpinned, sh.buffers.intoWaits = false, false
	return is
}

// Credit is how many bytes of the channel's capacity are reserved and unused.
func (sh *Shared) Credit() int64 { return sh.bounds.credit }

// Drop ends a request that came home to no connection.
func (sh *Shared) Drop(r *reqchan.Job) {
	sh.count.Late++
	sh.endUnsent(r)
}

// RecycleRun ends a request that is not counted any more, and those behind it, and says how
// many that were: their memory and their share of the capacities go back.
func (sh *Shared) RecycleRun(r *reqchan.Job) (n int) {
	return sh.endRun(r, func(*reqchan.Job) {})
}

// endRun recycles r and what is behind it, each after as was called with it.
func (sh *Shared) endRun(r *reqchan.Job, as func(*reqchan.Job)) (n int) {
	for ; r != nil; n++ {
		rest := r.Unbegun()
		as(r)
		sh.recycle(r)
		r = rest
	}
	return n
}

// Begin readies a request for another handler.
func (sh *Shared) Begin(r *reqchan.Job) { r.Begin(sh.home, sh.cfg.Memory) }

// Extra is how many answers came to requests that had been answered. Any goroutine.
func (sh *Shared) Extra() uint64 { return sh.jobs.Extra() }

// Tidy gives back memory that somebody might still have written to, and says when to
// come again; negative: not.
func (sh *Shared) Tidy() time.Duration { return sh.jobs.Tidy(sh.now) }

// Discard gives back what Shared itself holds; no connection has a life any more.
func (sh *Shared) Discard() {
	if sh.direct.job != nil {
		sh.direct.job.Free()
		sh.direct.job = nil
	}
	for _, page := range sh.sizes.pages {
		sh.cfg.Memory.Put(page)
	}
	sh.bounds.output = 0
	sh.pay(0)
	sh.giveHeldBack()
	sh.DiscardLate()
}

// DiscardLate gives back what came home since Discard.
func (sh *Shared) DiscardLate() {
	sh.jobs.Free()
	sh.arena.Close()
	sh.cfg.Channel.Release(sh.bounds.credit)
	sh.bounds.credit = 0
}

// Scarce says that what is held is beyond Config.Held, so that frames are received one at
// a time. WatchHeld finds out.
func (sh *Shared) Scarce() bool { return sh.scarce }

// WatchHeld finds out whether held memory is scarce: it is not any more when half of it is
// free.
func (sh *Shared) WatchHeld() {
	if sh.cfg.Held == nil {
		return
	}
	switch used, most := sh.cfg.Held.Used(), sh.cfg.Held.Max(); {
	case !sh.scarce && used > most:
		sh.becomeScarce()
	case sh.scarce && used <= most/2:
		sh.scarce = false
	}
}

// Residue is how much is left that must not be at rest, by name.
func (sh *Shared) Residue() map[string]int {
	return map[string]int{
		"away": sh.away, "pinned": sh.buffers.pinned, "opened": sh.buffers.opened, "large": sh.buffers.large, "hoarded too much": int(max(sh.bounds.credit-HoardedBytesMax, 0)),
		"bytes of output": int(sh.bounds.output), "followers": sh.runs.followers, "unbegun": sh.runs.unbegun,
	}
}
