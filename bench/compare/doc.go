// Package compare runs contestants against one another and says what the runs
// support.
//
// Job: alternate the contestants through each scenario, keep every raw result
// with its environment, and write the report that the results allow.
//
// Flow: Run builds the contestants, then for each scenario and round starts
// each server afresh, loads it from a generator process on other processors,
// and samples its counters at both ends of the measured window; Markdown turns
// the records into tables.
//
// Ownership: one goroutine does everything, one server and one generator at a
// time. Records are written as they come, so that an interrupted comparison
// keeps what it has.
//
// Never: run two contestants at once; let a run count that errors, the
// generator or an unreached rate spoiled; call a difference one that the
// interval does not support.
//
// Kernel: pinning and counters are Linux's (see package contestant).
package compare
