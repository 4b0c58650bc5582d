package reqchan

import "kring/internal/measure"

// Now is the clock that requests and processors share: nanoseconds that only
// grow, from a moment before the process served anybody. Any goroutine.
func Now() int64 { return measure.Now() }
