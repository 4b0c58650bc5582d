// Package rate measures how much happens per second, as Kafka's quotas do.
//
// Job: a sampled windowed rate (quota.window.num windows of
// quota.window.size.seconds each) and the time that somebody who is over a
// limit has to wait until the rate is back at it.
//
// Flow: Record adds to the window of now; Rate and Throttle look at all windows
// that still count. The time is the caller's, so a test takes none.
//
// Ownership: none. A Meter is one atomic word per window; any goroutine may use
// it, and nobody waits for anybody.
//
// Never: read a clock; lock; allocate after New; be a token bucket: what was
// not used in the last windows may be used in one burst, as in Kafka.
//
// Kernel: none.
package rate
