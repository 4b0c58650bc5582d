package slab

import "sync/atomic"

// refusal stands in for a system that has no memory; nil: it has.
var refusal atomic.Pointer[func(n int) error]

// Refuse has every Pool of the process refuse memory that it would have to map, in
// pieces of n bytes, when refuse gives an error: for tests of what follows. End it
// by calling restore.
func Refuse(refuse func(n int) error) (restore func()) {
	refusal.Store(&refuse)
	return func() { refusal.Store(nil) }
}

// whim is beside refusal, for memory that there is.
var whim atomic.Pointer[func() error]

// RefuseAny has TryGet of every Pool refuse memory whether there is some or not, when
// refuse gives an error.
func RefuseAny(refuse func() error) (restore func()) {
	whim.Store(&refuse)
	return func() { whim.Store(nil) }
}

func mapOrRefuse(n int) ([]byte, error) {
	if refuse := refusal.Load(); refuse != nil {
		if err := (*refuse)(n); err != nil {
			return nil, err
		}
	}
	return Map(n)
}
