package measure

import "time"

// epoch is the time from which Now counts.
var epoch = time.Now()

// Now is a monotonic clock: nanoseconds since a fixed time in the past, the same for
// the whole process. A call costs about 25 ns.
func Now() int64 { return int64(time.Since(epoch)) }
