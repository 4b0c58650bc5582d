package kring

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"kring/internal/fault"
)

// ErrServerClosed marks errors of methods that a Server has no more use for: it
// was shut down, or its Start failed.
var ErrServerClosed = errors.New("the Server is not serving any more: make another with New")

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
	e := &ConfigError{}
	for _, f := range faults {
		e.Faults = append(e.Faults, Fault(f))
	}
	return e
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

// EngineError is what an engine failed of: one that Config names and that can't run
// here (New, ChooseEngine), or one that could not open its part (Start, AddListener).
// The text of Err names the remedy.
type EngineError struct {
	Engine Engine
	// Op is what it was for: "processors", "listener" and its name, or that the engine
	// was asked for.
	Op  string
	Err error
}

func (e *EngineError) Error() string {
	if e.Op == opChosen { // Err begins with the engine, and New's text with the package
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("kring: %s: %s: %v", e.Op, e.Engine, e.Err)
}

// Unwrap gives Err, which has the system's error where there is one.
func (e *EngineError) Unwrap() error { return e.Err }

// Errno is the system's error number; 0 when there is none.
func (e *EngineError) Errno() syscall.Errno {
	var errno syscall.Errno
	_ = errors.As(e.Err, &errno)
	return errno
}

// errStarted says that a Server is started once.
func (s stage) errStarted() error {
	if s == ended {
		return fmt.Errorf("kring: Start: %w", ErrServerClosed)
	}
	return errors.New("kring: Start: the Server was started before: make another with New")
}

// errNotServing says that a method is for a Server that serves.
func (s stage) errNotServing(method string) error {
	if s == ended {
		return fmt.Errorf("kring: %s: %w", method, ErrServerClosed)
	}
	return fmt.Errorf("kring: %s: the Server is not serving: call Start first", method)
}
