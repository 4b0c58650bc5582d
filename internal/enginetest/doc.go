// Package enginetest is the conformance suite of the engine contract: every
// engine passes it, whatever it does underneath.
//
// Job: turn each sentence of package engine into a named property, and check it
// from outside, with ordinary TCP peers.
//
// Flow: Run opens a new Network for each case and each way to wait, and gives the
// case an owner (the goroutine that submits and polls). Afterwards it closes
// everything through the contract and looks for leaked descriptors, goroutines and
// memory. If a case hangs, it says what was outstanding.
//
// Ownership: a case runs on the goroutine that owns its engine; peers run on
// goroutines of their own and end before the case does.
//
// Never: look inside an engine; rely on what the contract leaves open (how a
// stream is split, which of two descriptors completes first, a Poll that comes
// back early); wait without a deadline.
//
// Kernel: loopback TCP, unless DialWith gives other peers.
package enginetest
