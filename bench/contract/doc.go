// Package contract measures what kring promises about connections that somebody
// else disturbs.
//
// Job: never-reading clients, a burst of connects, handlers that stall, and a
// client that reads cold files; for each, the p99 (or the outcome) of those that
// do nothing wrong, beside the quiet value and the floor of the machine.
//
// Flow: Run takes each Scenario's ways in turn, round by round and engine by
// engine. A way starts a fresh server (Serve), perhaps somebody who disturbs
// (Accompany), and a generator with an open loop, each a process of its own;
// Table sets what came of it against the bounds.
//
// Ownership: one goroutine measures, one server at a time; the stalls of the
// engines alone run at once, because they wait and do not compute. Samples are
// written as they come.
//
// Never: measure a latency in the process that disturbs; let who disturbs take
// the processor from who measures (it runs as SCHED_IDLE); call a goal reached
// whose median is beyond the bound.
//
// Kernel: pinning, SCHED_IDLE and cold files are Linux's; elsewhere the figures
// are coarser, and files stay warm.
package contract
