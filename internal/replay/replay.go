package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kring/record"
	"kring/reqchan"
)

// Config says what is played, and where to.
type Config struct {
	// Open opens the recording. It is read twice.
	Open func() (io.ReadCloser, error)
	// Target is the address of the server, as Dial has it.
	Target string
	// Dial connects to Target, or to another broker of its cluster. It must end when ctx does.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Mechanism is that of SASL, and Login its exchange: ask sends a token and returns the
	// target's. "": none.
	Mechanism string
	Login     func(ask func(token []byte) ([]byte, error)) error
	// Speed divides the times of the recording: with 2, twice as much is sent in a second. 0: each
	// connection sends its next request when the last one is answered, and nothing waits for its
	// time.
	Speed float64
	// ConnectionsPer is how many connections play what one did, each all of it. Default 1.
	ConnectionsPer int
	// Timeout is how long an answer may take, beyond what its request asks to wait. Connecting, and
	// what is asked at the beginning, may take as long, and 10 s at least. Default 30 s.
	Timeout time.Duration
	// CreateTopics creates the topics that the target lacks.
	CreateTopics bool
	// Began, if set, is called when the target is known, before the first request; Answer for each
	// answer, one at a time: how long after its request was due it came. They must not block for
	// long.
	Began  func()
	Answer func(latency time.Duration)
	// Notice is told what people should know before it begins; nil: nobody is.
	Notice func(text string)
}

// timeoutDefault is Config.Timeout where it is 0.
const timeoutDefault = 30 * time.Second

func (c Config) withDefaults() Config {
	if c.ConnectionsPer == 0 {
		c.ConnectionsPer = 1
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	return c
}

// patience is how long what is not measured may take.
func (c *Config) patience() time.Duration { return max(c.Timeout, 10*time.Second) }

func (c *Config) notice(format string, args ...any) {
	if c.Notice != nil {
		c.Notice(fmt.Sprintf(format, args...))
	}
}

// Bounds of a Config.
const (
	speedMost          = 1000
	connectionsPerMost = 1000
	// playersMax bounds the connections that are open at once.
	playersMax = 50_000
)

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	if !(c.Speed >= 0 && c.Speed <= speedMost) {
		faults = append(faults, fmt.Errorf("replay: Speed is %v: choose 0 (as fast as answers come) to %d", c.Speed, speedMost))
	}
	if c.ConnectionsPer < 1 || c.ConnectionsPer > connectionsPerMost {
		faults = append(faults, fmt.Errorf("replay: ConnectionsPer is %d: choose 1 to %d", c.ConnectionsPer, connectionsPerMost))
	}
	if c.Timeout < time.Millisecond {
		faults = append(faults, fmt.Errorf("replay: Timeout is %v: choose 1ms or more", c.Timeout))
	}
	return errors.Join(faults...)
}

// run is a replay that runs.
type run struct {
	cfg     *Config
	target  *target
	rewrite *rewriter
	report  *counts
	budget  *budget
	began   time.Time

	players map[reqchan.ConnID][]*player // owner: the goroutine of Run
	live    atomic.Int64                 // players that have not ended
	wait    sync.WaitGroup
}

// Run plays a recording, and returns when the last answer is there or given up. When ctx ends, it
// ends soon, and reports what was until then. The error says why nothing could be played.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	s, err := scanFile(ctx, c.Open)
	if err != nil {
		return nil, err
	}
	for _, text := range []string{s.State(), s.lostText()} {
		if text != "" {
			c.notice("%s", text)
		}
	}
	t, err := meet(ctx, &c, s)
	if err != nil {
		return nil, err
	}
	r := &run{
		cfg: &c, target: t, report: newCounts(), budget: newBudget(), players: map[reqchan.ConnID][]*player{},
		rewrite: &rewriter{of: s, target: t, sessions: newSessions(), now: time.Now},
	}
	if c.Began != nil {
		c.Began()
	}
	r.report.answer = c.Answer
	report := &Report{Target: c.Target, Speed: c.Speed, Started: time.Now()}
	r.began = report.Started
	err = r.read(ctx)
	for _, all := range r.players {
		for _, p := range all {
			p.queue.end()
		}
	}
	r.wait.Wait()
	if err != nil {
		return nil, err
	}
	report.Seconds = time.Since(r.began).Seconds()
	report.Interrupted = ctx.Err() != nil
	r.report.done(s, report)
	return report, nil
}

func scanFile(ctx context.Context, open func() (io.ReadCloser, error)) (*Summary, error) {
	in, err := open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return Scan(ctx, in)
}

// read hands out what is in the file, as far ahead as is needed.
func (r *run) read(ctx context.Context) error {
	in, err := r.cfg.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := record.NewReader(in)
	if err != nil {
		return err
	}
	var e record.Entry
	for err = file.Next(&e); err == nil && ctx.Err() == nil; err = file.Next(&e) {
		r.entry(ctx, &e)
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, record.ErrTorn) {
		return nil
	}
	return err
}

// readAhead is how long before it is due a request is read.
const readAhead = 500 * time.Millisecond

func (r *run) entry(ctx context.Context, e *record.Entry) {
	switch e.Kind {
	case record.Opened:
		r.hand(ctx, e, &item{key: -1, node: itself, due: r.due(e)})
	case record.Closed:
		r.rewrite.sessions.ended(e.Conn)
		r.close(e.Conn)
	case record.Request:
		items, why := r.rewrite.rewrite(e)
		if why != "" {
			r.report.skipped(e.API, why)
			return
		}
		for _, it := range items {
			it.due = r.due(e)
			r.hand(ctx, e, it)
		}
	}
}

// close ends the connections for one of the recording. At full speed, where the times of the
// recording do not keep its connections apart, what comes later waits for that.
func (r *run) close(conn reqchan.ConnID) {
	for _, p := range r.players[conn] {
		p.queue.end()
	}
	for _, p := range r.players[conn] {
		if r.cfg.Speed == 0 {
			<-p.done
		}
	}
	delete(r.players, conn)
}

// afterMost is how long after the beginning something may be due: a slower speed makes it more than a
// time.Duration can be, and what is too much for that would be due at once.
const afterMost = 100 * 366 * 24 * time.Hour

// due is when an entry is to be played.
func (r *run) due(e *record.Entry) time.Time {
	if r.cfg.Speed == 0 {
		return r.began
	}
	after := float64(e.At-r.rewrite.of.First) / r.cfg.Speed
	return r.began.Add(time.Duration(min(after, float64(afterMost))))
}

// hand puts an item into the queues of its connection, not long before it is due.
func (r *run) hand(ctx context.Context, e *record.Entry, it *item) {
	players := r.playersOf(ctx, e.Conn)
	if players == nil {
		if it.key >= 0 {
			r.report.skipped(it.key, fmt.Sprintf("more than %d connections at once", playersMax))
		}
		return
	}
	if !r.sleep(ctx, it.due.Add(-readAhead)) {
		return
	}
	it.bytes += itemBytes
	for _, p := range players {
		if !r.budget.take(ctx, it.bytes) {
			return
		}
		p.queue.push(it)
	}
}

// playersOf are the connections for one of the recording.
func (r *run) playersOf(ctx context.Context, conn reqchan.ConnID) []*player {
	if all := r.players[conn]; all != nil {
		return all
	}
	if r.live.Load()+int64(r.cfg.ConnectionsPer) > playersMax {
		return nil
	}
	for range r.cfg.ConnectionsPer {
		p := &player{r: r, queue: newQueue(), links: map[int32]*link{}, failed: map[int32]time.Time{}, done: make(chan struct{})}
		r.players[conn] = append(r.players[conn], p)
		r.live.Add(1)
		r.wait.Go(func() { p.play(ctx) })
	}
	return r.players[conn]
}

// sleep waits until a moment; false: ctx has ended.
func (r *run) sleep(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
