// Package fault describes what is wrong with a configuration, field by field.
//
// Job: keep a fault's field apart from its text. So a package whose Config
// contains another package's Config can name the field as its users write it.
//
// Flow: a Validate adds faults to a List and returns its Err.
//
// Ownership: none.
//
// Never: judge anything itself.
//
// Kernel: none.
package fault

import (
	"fmt"
	"strings"
)

// Fault is what is wrong with one field, and the remedy.
type Fault struct {
	Field string // as a program writes it
	Says  string // what follows the field's name: its value, and the remedy
}

func (f Fault) Error() string { return f.Field + " " + f.Says }

// List collects faults.
type List []Fault

// Add adds a fault of the field if bad. The format is what follows the field's name.
func (l *List) Add(bad bool, field, format string, args ...any) {
	if bad {
		*l = append(*l, Fault{field, fmt.Sprintf(format, args...)})
	}
}

// In returns the faults with part in front of their fields.
func (l List) In(part string) List {
	in := make(List, len(l))
	for i, f := range l {
		in[i] = Fault{part + f.Field, f.Says}
	}
	return in
}

// Err is nil if there is no fault, else an Error whose lines begin with prefix.
func (l List) Err(prefix string) error {
	if len(l) == 0 {
		return nil
	}
	return &Error{prefix, l}
}

// Error is every fault of a configuration, a line each.
type Error struct {
	prefix string
	Faults List
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = e.prefix + f.Error()
	}
	return strings.Join(lines, "\n")
}
