package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger carries the log lines of one run of kfake to slog, keeps its first
// error (kfake reports a failed save at its end in no other way) and tells the
// store of each write that failed.
type logger struct {
	to     *slog.Logger
	store  *store
	dir    dataDir
	gate   *loadGate   // nil without a data directory
	closed atomic.Bool // what kfake can't save any more is not to be saved

	mu  sync.Mutex
	err error // guarded by mu
}

// Logf is kfake's.
func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.gate.heard(format, args) {
		return
	}
	at := slog.LevelDebug
	if l.closed.Load() {
		level = kfake.LogLevelDebug
	}
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
		at = slog.LevelWarn
	}
	if level == kfake.LogLevelError {
		l.mu.Lock()
		if l.err == nil {
			l.err = fmt.Errorf("embedded: "+format, args...)
		}
		l.mu.Unlock()
	}
	if level <= kfake.LogLevelWarn && isFailedWrite(format) {
		l.store.fail(errors.New(l.dir.named(fmt.Sprintf(format, args...))))
	}
	if ctx := context.Background(); l.to.Enabled(ctx, at) {
		l.to.Log(ctx, at, l.dir.named(fmt.Sprintf(format, args...)), "from", "embedded")
	}
}

func (l *logger) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// failedWrites is how the lines begin with which kfake says that something that
// it has acknowledged, or will, is not on disk. That a log could not be compacted
// is not among them: the old one stays.
var failedWrites = []string{
	"persist batch ", "persist group entry ", "persist pid entry ", "persist %s: ", // topics.json and the others
	"endTx: failed to persist ", "rebuildSegments ", "delete topic ",
}

func isFailedWrite(format string) bool {
	for _, f := range failedWrites {
		if strings.HasPrefix(format, f) {
			return true
		}
	}
	return false
}
