package kring

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestAnEngineErrorSaysWhatAndWhere: which engine, what for, the system's number, and
// what to do.
func TestAnEngineErrorSaysWhatAndWhere(t *testing.T) {
	err := error(engineError(EngineEpoll, "processors", fmt.Errorf("epoll_create1: %w", syscall.EMFILE)))
	var e *EngineError
	if !errors.As(err, &e) || !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("%v is no EngineError of EMFILE", err)
	}
	if e.Engine != EngineEpoll || e.Op != "processors" || e.Errno != syscall.EMFILE || !strings.Contains(e.Remedy, "ulimit -n") {
		t.Errorf("%+v", e)
	}
	for _, says := range []string{"processors", "epoll", "epoll_create1"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in %q", says, err)
		}
	}
	if e := engineError(EngineURing, "listener A", errors.New("no number")); e.Errno != 0 || e.Remedy == "" {
		t.Errorf("errno %v, remedy %q of an error without", e.Errno, e.Remedy)
	}
}
