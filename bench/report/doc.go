// Package report draws a comparison for people.
//
// Job: one HTML page from raw results, with everything in it: bars of
// throughput and CPU, latency by percentile, latency by rate, the ablation as a
// heat map, where io_uring loses, the environment.
//
// Flow: HTML turns Results into a page value, every length in it already a
// number of percent or of chart units, and a template writes it.
//
// Ownership: pure functions; nothing is kept.
//
// Never: load anything from a network; run a script; say more than the rounds
// support.
//
// Kernel: none.
package report
