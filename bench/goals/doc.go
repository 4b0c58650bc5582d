// Package goals holds the figures that kring wants to reach, and says from raw
// results whether it does.
//
// Job: a goal is a ratio or a number in one scenario and a bound; Table writes
// what was measured, with its interval and the raw file's name, beside what was
// wanted.
//
// Flow: each Goal reads compare.Results; the newest file that has what a goal
// needs is used for it, one with too few rounds only when there is no other.
//
// Ownership: pure functions; nothing is kept.
//
// Never: count a run that does not count; call a goal reached or missed when
// the interval spans its bound or the rounds are too few; hold runs against each
// other that were asked for different rates.
//
// Kernel: none.
package goals
