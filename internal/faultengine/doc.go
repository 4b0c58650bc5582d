// Package faultengine is an engine in memory that misbehaves in every way that the
// contract permits, and that checks the contract's rules for its owner.
//
// Job: let a test run the real acceptor and the real processor against short, late,
// reordered and failed completions, all drawn from one seed, and report an owner that
// breaks the contract at the call that breaks it.
//
// Flow: New makes a Network; the owner calls Open and Listen; Dial returns a Peer,
// the client's end of a connection, to the test. Poll steps the engine: it takes the
// submissions, moves bytes, draws the faults, returns what is due. Delays are counted
// in steps, so they cost no time. Check at the end reports what was left open.
//
// Ownership: an Engine belongs to its owner; a Peer and the Network may be used by
// any goroutine. One mutex guards all of it. An engine draws from a generator of its
// own, so its schedule depends only on the seed and on what it was given.
//
// Never: do what io_uring could not do; break a rule of package engine; lose or
// change a byte of a connection that it did not break.
//
// Kernel: none. No descriptor here is known to the system.
package faultengine
