// Package rate measures how much happens per second, as Kafka's quotas do.
//
// Job: a sampled windowed rate (quota.window.num windows of
// quota.window.size.seconds each), and the time that a client over a limit has to
// wait until the rate is back at the limit.
//
// Flow: Record adds to the current window; Rate and Throttle read all windows
// that still count. The caller gives the time, so tests have a clock of their own.
//
// Ownership: none. A Meter is one atomic word per window; any goroutine may use
// it, and none waits for another.
//
// Never: read a clock; lock; allocate after New; be a token bucket: what was
// not used in the last windows may be used in one burst, as in Kafka.
//
// Kernel: none.
package rate
