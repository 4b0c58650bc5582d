package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger carries kfake's log lines to slog, and keeps its first error: kfake
// reports a failed save at its end in no other way.
type logger struct {
	to   *slog.Logger
	gate *loadGate // nil without a data directory

	mu  sync.Mutex
	err error // guarded by mu
}

// Logf is kfake's.
func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.gate.heard(format, args) {
		return
	}
	at := slog.LevelDebug
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
	if ctx := context.Background(); l.to.Enabled(ctx, at) {
		l.to.Log(ctx, at, fmt.Sprintf(format, args...), "from", "embedded")
	}
}

func (l *logger) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
