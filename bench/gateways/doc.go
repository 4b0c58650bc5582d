// Package gateways compares gateways in front of one broker.
//
// Job: for each contestant, which somebody else started, what a request costs in latency
// and in the gateway's processor time, what a saturating producer reaches, and what
// idle clients cost the gateway and the broker. The first contestant is the broker itself.
//
// Flow: rounds, in each of which every contestant does everything once, in an order that
// turns by one from round to round. Differences and ratios are taken within a round,
// because the contestants of a round shared what the machine did then. A round zero
// warms everybody up, and finds the rate that stands for half load: half of what the
// slowest contestant carries in a closed loop.
//
// Ownership: connections of a step end with it. The contestants' processes are the caller's.
//
// Never: start or end a contestant; count a run in which the generator was the limit as
// the contestant's; draw a verdict from less than what the table shows.
//
// Kernel: /proc/PID/stat and status for time and memory, /proc/PID/fd with
// /proc/PID/net/tcp for a process's connections (proc(5)).
package gateways
