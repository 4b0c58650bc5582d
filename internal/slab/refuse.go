package slab

import "sync/atomic"

// refusal makes the system refuse memory; nil: it does not.
var refusal atomic.Pointer[func(n int) error]

// Refuse makes every Pool of the process refuse to map pieces of n bytes for which
// refuse returns an error. It is for tests, which end it by calling restore.
func Refuse(refuse func(n int) error) (restore func()) {
	refusal.Store(&refuse)
	return func() { refusal.Store(nil) }
}

// refusalOfAny is beside refusal, for memory that there is.
var refusalOfAny atomic.Pointer[func() error]

// RefuseAny makes TryGet of every Pool fail when refuse returns an error, even if free
// memory is there.
func RefuseAny(refuse func() error) (restore func()) {
	refusalOfAny.Store(&refuse)
	return func() { refusalOfAny.Store(nil) }
}

func mapOrRefuse(n int) ([]byte, error) {
	if refuse := refusal.Load(); refuse != nil {
		if err := (*refuse)(n); err != nil {
			return nil, err
		}
	}
	return Map(n)
}
