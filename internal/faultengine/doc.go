// Package faultengine is the engine contract kept in memory, badly behaved in
// every way that the contract permits, and deaf to none of its rules.
//
// Job: let a test run the real acceptor and the real processor against short,
// late, reordered and failed completions, all of them drawn from one seed, and
// catch an owner that breaks the contract at the call that breaks it.
//
// Flow: New makes a Network; Open and Listen are the owner's; Dial gives the
// test a Peer, the client's end of a connection. Poll steps the engine: it takes
// the submissions, moves bytes, draws the faults, returns what is due. Delays
// are counted in steps, so they cost no time. Check at the end says what was
// forgotten.
//
// Ownership: an Engine is its owner's, as everywhere; a Peer and the Network may
// be used by any goroutine. One mutex guards all of it. An engine draws from a
// generator of its own, so its schedule depends on the seed and on what it was
// given, and on nothing else.
//
// Never: do what io_uring could not do; break a rule of package engine; lose or
// change a byte of a connection that it did not break.
//
// Kernel: none. No descriptor here is known to the system.
package faultengine
