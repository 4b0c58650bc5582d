package measure

import "time"

// epoch makes monotonic nanoseconds out of the clock.
var epoch = time.Now()

// Now is monotonic, in nanoseconds since some time in the past, the same for
// everybody in the process. It costs some 25 ns.
func Now() int64 { return int64(time.Since(epoch)) }
