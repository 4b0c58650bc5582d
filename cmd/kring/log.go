package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"kring"
	"kring/reqchan"
)

// levelOf is the level of --log-level.
func levelOf(name string) (level slog.Level) {
	_ = level.UnmarshalText([]byte(name)) // the flag allows nothing else
	return level
}

// logger writes to standard error, by --log-level, which may change, and --log-format.
func (c *serveCmd) logger(stderr *lines) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(c.LogLevel))
	opts := &slog.HandlerOptions{Level: level}
	to := func(w io.Writer) *slog.Logger {
		if c.LogFormat == "json" {
			return slog.New(slog.NewJSONHandler(w, opts))
		}
		return slog.New(slog.NewTextHandler(w, opts))
	}
	stderr.saying(func(n uint64) []byte {
		var line bytes.Buffer
		to(&line).Warn("log lines were dropped: standard error was not read in time", "lines", n)
		return line.Bytes()
	})
	return to(stderr), level
}

// events logs the server's events.
func events(log *slog.Logger, closed *closeLog, refused *refusals) kring.Events {
	e := kring.Events{
		AcceptFailed: func(listener string, err error, pause time.Duration) {
			log.Warn("accepting failed and pauses", "listener", listener, "error", inAdvice(err.Error()), "pause", pause)
		},
		ServerFull: func(is kring.ServerFull) { logServerFull(log, is) },
		HandlerPanicked: func(r kring.Request, v any, stack []byte) {
			what := "the handler panicked; its connection is closed"
			if !r.ClosedByPanic() {
				what = "the handler panicked; its request had been answered"
			}
			log.Error(what,
				"conn", r.Conn().ID.String(), "remote", reqchan.EndString(r.Conn().Remote), "panic", fmt.Sprint(v), "stack", string(stack))
		},
	}
	e.ConnClosed = func(c *kring.Conn, why kring.CloseReason) {
		refused.closed(c, why)
		if log.Enabled(context.Background(), slog.LevelDebug) { // SIGHUP may change it
			closed.add(c, why)
		}
	}
	return e
}

// logServerFull warns that the server is full, and names the address with most connections.
// By default no address has a bound (see DESIGN.md, "Who may connect").
func logServerFull(log *slog.Logger, is kring.ServerFull) {
	bound := "--listener " + is.Listener + ".max-connections"
	if is.Server {
		bound = "--max-connections"
	}
	log.Warn("the server is full: new clients wait or are refused; raise the bound, or bound each address with --max-connections-per-ip",
		"listener", is.Listener, "bound", bound, "max", is.ConnsMax, "waiting", is.Waiting, "refused", is.Refused,
		"busiest_address", addressOf(is.Busiest), "its_connections", is.BusiestConns)
}

// closeLog logs closed connections. A processor does not format lines: it puts the
// event into a queue. Events that a full queue does not take are counted.
type closeLog struct {
	log     *slog.Logger
	queue   chan closing
	skipped atomic.Uint64
	done    chan struct{}
}

type closing struct {
	conn *kring.Conn
	why  kring.CloseReason
}

const closingsQueuedMax = 4096

func newCloseLog(log *slog.Logger) *closeLog {
	l := &closeLog{log: log, queue: make(chan closing, closingsQueuedMax), done: make(chan struct{})}
	go l.write()
	return l
}

func (l *closeLog) add(c *kring.Conn, why kring.CloseReason) {
	select {
	case l.queue <- closing{c, why}:
	default:
		l.skipped.Add(1)
	}
}

func (l *closeLog) write() {
	defer close(l.done)
	for c := range l.queue {
		l.log.Debug("connection closed", "conn", c.conn.ID.String(), "listener", c.conn.Listener,
			"remote", reqchan.EndString(c.conn.Remote), "reason", c.why.String())
	}
}

// end writes what is queued. The server must have ended.
func (l *closeLog) end() {
	close(l.queue)
	<-l.done
	if n := l.skipped.Load(); n > 0 {
		l.log.Warn("connections closed faster than they could be logged", "not_logged", n)
	}
}

// counts logs as a group of its own, in a stable order.
type counts map[string]uint64

// LogValue is slog's.
func (c counts) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(c))
	for _, name := range slices.Sorted(maps.Keys(c)) {
		attrs = append(attrs, slog.Uint64(name, c[name]))
	}
	return slog.GroupValue(attrs...)
}
