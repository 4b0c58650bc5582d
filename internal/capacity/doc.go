// Package capacity bounds a number of bytes that several goroutines share.
//
// Job: count taken bytes against a bound, and call those that were refused when bytes
// are free again.
//
// Flow: a Taker reserves. If it is refused, its WakeFlag is called as soon as what it
// wanted is free; then it tries again. Release gives bytes back.
//
// Ownership: a Capacity is for any goroutine, a Taker for one.
//
// Never: wait; reserve bytes for a Taker that did not ask again.
//
// Kernel: none.
package capacity
