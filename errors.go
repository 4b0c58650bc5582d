package kring

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"kring/engine"
	"kring/internal/fault"
)

// ErrServerClosed marks errors of methods that a Server has no more use for: it
// was shut down, or its Start failed.
var ErrServerClosed = errors.New("the Server is not serving any more: make another with New")

// ErrMemoryHeld is an error of an Upstream whose engine died and could not end what it had
// begun: the kernel may go on to use memory that it was given. See UpstreamEvents.Closed.
var ErrMemoryHeld = engine.ErrMemoryHeld

// ConfigError is every fault of a Config, so that one run shows them all. What
// takes a Config returns it wrapped.
type ConfigError struct {
	Faults []Fault // in the order of Config's fields, one at least
}

// Fault is what is wrong with one field.
type Fault struct {
	// Field is its name, with what it is of: Limits.PipelineMax, Listeners[PLAINTEXT].Address,
	// URing.Buffers.
	Field string
	// Says is its value and the remedy.
	Says string
}

// Error has a line for each fault.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.Field + " " + f.Says
	}
	return strings.Join(lines, "\n")
}

// configError is nil when there is no fault.
func configError(faults fault.List) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b fault.Fault) int { return slices.Compare(placeOf(a.Field), placeOf(b.Field)) })
	e := &ConfigError{}
	for _, f := range faults {
		e.Faults = append(e.Faults, Fault(f))
	}
	return e
}

// placeOf says where a field stands in Config, and in its group. Fields of one listener, or
// of one address, stay in the order in which they were judged.
func placeOf(field string) []int {
	group, name, _ := strings.Cut(field, ".")
	group, _, _ = strings.Cut(group, "[")
	in, known := reflect.TypeFor[Config]().FieldByName(group)
	if !known {
		return []int{math.MaxInt}
	}
	if in.Type.Kind() == reflect.Struct {
		name, _, _ = strings.Cut(name, ".")
		name, _, _ = strings.Cut(name, "[")
		if of, known := in.Type.FieldByName(name); known {
			return append(in.Index, of.Index...)
		}
	}
	return in.Index
}

// faultsOf are those that a part's Validate found.
func faultsOf(err error) fault.List {
	var e *fault.Error
	if !errors.As(err, &e) {
		return nil
	}
	return e.Faults
}

// opChosen is the Op of an engine that was asked for by name.
const opChosen = "the engine asked for can't run here"

// EngineError says why an engine failed: one that Config names and that can't run here
// (New, ChooseEngine), or one that could not open its part (Start, Serve, AddListener).
type EngineError struct {
	Engine Engine
	// Op is what the engine was opened for: "processors", "listener NAME", or that it was
	// asked for by name.
	Op string
	// Errno is the system's error number; 0 when there is none.
	Errno syscall.Errno
	// Remedy is what to do about it.
	Remedy string
	// Err is the engine's own error, with the cause in words.
	Err error
}

func engineError(e Engine, op string, err error) *EngineError {
	failed := &EngineError{Engine: e, Op: op, Err: err}
	_ = errors.As(err, &failed.Errno)
	failed.Remedy = remedyOf(op, failed.Errno)
	return failed
}

// remedyOf is what helps against an errno of an engine that was opened.
func remedyOf(op string, errno syscall.Errno) string {
	switch errno {
	case syscall.EMFILE:
		return "raise the limit of open files of this process (ulimit -n, LimitNOFILE=), or have fewer processors"
	case syscall.ENFILE:
		return "raise the limit of open files of this machine (sysctl fs.file-max)"
	case syscall.ENOMEM, syscall.ENOBUFS:
		return "raise the memlock limit (ulimit -l, LimitMEMLOCK=) or the memory limit of the cgroup, or have fewer processors"
	case syscall.EPERM, syscall.EACCES:
		return "allow it in the seccomp profile or the security policy (kring doctor says which stands in the way), or choose EngineAuto"
	case syscall.ENOSYS, syscall.EINVAL, syscall.EOPNOTSUPP:
		return "use a newer kernel (io_uring needs Linux 5.19), or choose EngineAuto"
	}
	if op == opChosen {
		return "choose EngineAuto, which takes an engine that can run here"
	}
	return "kring doctor says what this machine can do"
}

// Error does not repeat Remedy: Err has what is known of this failure.
func (e *EngineError) Error() string {
	if e.Op == opChosen { // Err begins with the engine, and New's text with the package
		return fmt.Sprintf("%s: %v (engine auto would choose one that can)", e.Op, e.Err)
	}
	return fmt.Sprintf("kring: %s: %s: %v", e.Op, e.Engine, e.Err)
}

// Unwrap gives Err, which has the system's error where there is one.
func (e *EngineError) Unwrap() error { return e.Err }

// errHandedOver says that another process serves by now.
var errHandedOver = errors.New("another process has taken over")

// errStarted says that a Server is started once.
func (s stage) errStarted(method string) error {
	if s == ended {
		return fmt.Errorf("kring: %s: %w", method, ErrServerClosed)
	}
	return fmt.Errorf("kring: %s: the Server was started before: make another with New", method)
}

// errNotServing says that a method is for a Server that serves.
func (s stage) errNotServing(method string) error {
	if s == ended {
		return fmt.Errorf("kring: %s: %w", method, ErrServerClosed)
	}
	if s == handedOver {
		return fmt.Errorf("kring: %s: %w", method, errHandedOver)
	}
	return fmt.Errorf("kring: %s: the Server is not serving: call Start first", method)
}
