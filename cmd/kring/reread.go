package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"time"

	"kring"
	"kring/quota"
)

// reloadable is a part of the program that can be read again while it serves.
type reloadable struct {
	again string // the log line after it was read: "the quotas were read again"
	kept  string // the log line after a failure: "the quotas stay as they were"

	// prepare reads everything and changes nothing. Its error names the file or the flag.
	// apply takes what was read. It should not fail; if it does, the part is as it was.
	prepare func() (apply func() error, err error)
	// around marks a part that may fail when it is applied: it is called in the place of
	// apply. It calls rest when it can't fail any more, and before anybody comes by what is
	// new; rest applies all other parts. nil: the part has an apply.
	around func(rest func()) error
	// after is called when all parts are through, whether they were applied or not; may be
	// nil.
	after func()
	// says returns attributes for both log lines, after apply; may be nil.
	says func() []any
	// quiet says that there is nothing of the part, and so no log line when that was read
	// again; may be nil.
	quiet func() bool
	// watched are files whose change has this part read again without a signal. They are
	// looked at every watchEvery, and read when they have not changed for so long.
	watched []string
}

// rereads are all parts that can be read again: on SIGHUP all of them, as a whole or not
// at all; and each one when a file of it has changed.
//
// Owner: add is for the start of the program. Then the goroutine of start owns it.
type rereads struct {
	log   *slog.Logger
	every time.Duration // between two looks at watched files
	told  *notifier     // of a signal to reread; nil: nobody is
	parts []*reread
}

// reread is a part, and what its watched files were.
type reread struct {
	reloadable
	gone    func() bool   // it is about something that is there no more; nil: it stays
	seen    []os.FileInfo // when it was read last; nil: there was no such file
	pending []os.FileInfo // what differs from seen since the last look; nil: nothing does
	failed  string        // why it could not be read the last time; "": it could
	waits   int           // looks until it is tried again
	tried   int           // how often it was, since it failed
}

// retryLooksMax bounds how many looks lie between two attempts to read what could not be read.
const retryLooksMax = 32

// watchEvery is how often watched files are looked at. A change is taken between one and
// two of these times later: a file that is being written is left alone.
const watchEvery = 2 * time.Second

func newRereads(log *slog.Logger) *rereads { return &rereads{log: log, every: watchEvery} }

// add registers a part. Add it before its files are read for the first time: a change
// between the two must be seen.
func (r *rereads) add(part reloadable) {
	r.parts = append(r.parts, &reread{reloadable: part, seen: filesNow(part.watched)})
}

// renew adds a part that has been read already, and forgets those that are gone. It is for
// a part's apply.
func (r *rereads) renew(more *reread) {
	r.parts = slices.DeleteFunc(slices.Clone(r.parts), func(p *reread) bool { return p.gone != nil && p.gone() })
	if more != nil {
		r.parts = append(r.parts, more)
	}
}

// catchReread catches SIGHUP from here on and keeps it until it is received: a server
// that still loads its data directory must not die of it. The function stops that.
func catchReread() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 1)
	if rereadSignal == nil {
		return signals, func() {}
	}
	signal.Notify(signals, rereadSignal)
	return signals, func() { signal.Stop(signals) }
}

// start rereads on each signal, and when watched files change. The returned function
// stops that.
func (r *rereads) start(signals <-chan os.Signal) func() {
	over := make(chan struct{})
	go func() { // a name service or a disk may be slow, and must not delay the stop
		tick := time.NewTicker(r.every)
		defer tick.Stop()
		for {
			var looks <-chan time.Time
			if r.watching() {
				looks = tick.C
			}
			select {
			case <-over:
				return
			case s := <-signals:
				r.told.reloading(func() { r.all(s) })
			case <-looks:
				r.look()
			}
		}
	}()
	return func() { close(over) }
}

func (r *rereads) watching() bool {
	for _, p := range r.parts {
		if len(p.watched) > 0 {
			return true
		}
	}
	return false
}

// all rereads every part, as a whole or not at all.
func (r *rereads) all(s os.Signal) {
	if len(r.parts) == 0 {
		r.log.Info("nothing to reread: none of the settings names a file or a host", "signal", s.String())
		return
	}
	parts, seen := r.parts, make([][]os.FileInfo, len(r.parts))
	for i, p := range parts {
		seen[i] = p.seen
		p.seen, p.pending = filesNow(p.watched), nil
	}
	if r.take(parts) {
		return
	}
	for i, p := range parts {
		if p.failed == "" { // it changed perhaps, and was not taken for another's sake; see look
			p.seen = seen[i]
		}
	}
}

// look rereads the parts whose files have changed, and not again since the last look.
func (r *rereads) look() {
	for _, p := range r.parts {
		if len(p.watched) > 0 && (p.settled() || p.retries()) {
			r.take([]*reread{p})
		}
	}
}

// take prepares all parts, and applies them if all could be prepared.
func (r *rereads) take(parts []*reread) (applied bool) {
	rereading.Store(true)
	defer rereading.Store(false)
	defer func() {
		for _, p := range parts {
			if p.after != nil {
				p.after()
			}
		}
	}()
	applies := make([]func() error, len(parts))
	failed := false
	for i, p := range parts {
		apply, err := p.read()
		if err != nil {
			failed = true
			if len(parts) > 1 || p.failed != err.Error() { // else it was said
				r.log.Error(p.kept, p.line("error", err)...)
			}
			p.note(err)
		}
		applies[i] = apply
	}
	if failed {
		if len(parts) > 1 {
			r.log.Error("nothing was changed: a part could not be read, and all are taken as a whole or not at all")
		}
		return false
	}
	return r.apply(parts, applies)
}

// apply applies what was prepared: all, or, when the part that may fail does, nothing. There
// is one such part at most.
func (r *rereads) apply(parts []*reread, applies []func() error) (applied bool) {
	errs := make([]error, len(parts))
	rest := func() {
		for i, p := range parts {
			if p.around == nil {
				errs[i] = applies[i]()
			}
		}
	}
	if at := slices.IndexFunc(parts, func(p *reread) bool { return p.around != nil }); at >= 0 {
		if err := parts[at].around(rest); err != nil {
			r.log.Error(parts[at].kept, parts[at].line("error", err)...)
			return false
		}
	} else {
		rest()
	}
	for i, p := range parts {
		p.note(errs[i])
		switch {
		case errs[i] != nil:
			r.log.Error(p.kept, p.line("error", errs[i])...)
		case p.quiet == nil || !p.quiet():
			r.log.Info(p.again, p.line()...)
		}
	}
	return true
}

// read is prepare, of files that can be read again.
func (p *reread) read() (apply func() error, err error) {
	for _, path := range p.watched {
		if err := notAPipe(path); err != nil {
			return nil, err
		}
	}
	return p.prepare()
}

// line is the attributes of a log line about the part.
func (p *reread) line(more ...any) []any {
	if p.says == nil {
		return more
	}
	return append(p.says(), more...)
}

// note remembers whether the part could be read.
func (p *reread) note(err error) {
	if err == nil {
		p.failed, p.tried = "", 0
		return
	}
	p.failed, p.waits = err.Error(), min(1<<min(p.tried, 10), retryLooksMax)
	p.tried++
}

// retries says whether it is time to read again what could not be read: the reason may have passed
// without the files having changed (no descriptors were left, a network's disk was away).
func (p *reread) retries() bool {
	if p.failed == "" {
		return false
	}
	p.waits--
	return p.waits <= 0
}

// settled says whether the watched files differ from what was read, and are as they were
// at the last look. Then they count as read.
func (p *reread) settled() bool {
	now := filesNow(p.watched)
	if sameFiles(now, p.seen) {
		p.pending = nil
		return false
	}
	if p.pending == nil || !sameFiles(now, p.pending) {
		p.pending = now
		return false
	}
	p.seen, p.pending = now, nil
	return true
}

// rereading says that files are read again, not for the first time.
var rereading atomic.Bool

// notAPipe refuses what may have no end, or no beginning, when it is read again: the signal
// and all watched files would wait for it for ever. The start may wait, and its pipes are
// often good for once.
func notAPipe(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeNamedPipe != 0 && rereading.Load() {
		return fmt.Errorf("%s is a pipe, and can't be read again; name a file", path)
	}
	return nil // whoever reads it says what else is wrong
}

func filesNow(paths []string) []os.FileInfo {
	all := make([]os.FileInfo, len(paths))
	for i, path := range paths {
		all[i], _ = os.Stat(path) // nil: whoever reads it says why
	}
	return all
}

// sameFiles compares by file (device and inode), size and time of change.
func sameFiles(a, b []os.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}

// rereadQuotas has the limits of --quota and --quota-file be read again, as settings has
// them.
func rereadQuotas(quotas *quota.Quotas, settings func() *serveCmd) reloadable {
	return reloadable{
		again: "the quotas were read again", kept: "the quotas stay as they were",
		says: func() (say []any) {
			if file := settings().Quotas.QuotaFile; file != "" {
				say = append(say, "file", file)
			}
			return append(say, "limits", len(quotas.Limits()))
		},
		quiet: func() bool { return settings().Quotas.QuotaFile == "" && len(quotas.Limits()) == 0 },
		prepare: func() (func() error, error) {
			c := settings()
			cfg := c.Quotas.config()
			limits, err := c.Quotas.limits()
			if cfg.Limits = limits; err == nil {
				err = cfg.Validate()
			}
			return func() error { return quotas.Set(limits) }, err
		},
	}
}

// rereadHosts has the hosts of --ip-limit be resolved again.
func rereadHosts(server *kring.Server, cfg kring.Config) reloadable {
	return reloadable{
		again: "the hosts of --ip-limit were resolved again", kept: "the addresses of --ip-limit stay as they were",
		prepare: func() (func() error, error) { return nil, nil },
		around: func(rest func()) error {
			if err := server.ReconfigureWith(cfg, rest); err != nil {
				return inFlags(err)
			}
			return nil
		},
	}
}
