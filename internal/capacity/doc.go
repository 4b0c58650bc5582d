// Package capacity bounds a number of bytes that several goroutines share.
//
// Job: count bytes that are taken against a bound, and call whoever found none when
// there are some again.
//
// Flow: a Taker reserves and, if it is refused, is called at its Doorbell as soon as
// what it wanted is free; then it tries again. Release gives bytes back.
//
// Ownership: a Capacity is for any goroutine, a Taker for one.
//
// Never: wait; hand bytes to somebody who did not ask again.
//
// Kernel: none.
package capacity
