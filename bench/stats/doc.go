// Package stats says what a few noisy repetitions support, and what not.
//
// Job: medians with their spread, and the ratio of two contestants with an
// interval, from runs that alternated.
//
// Flow: the ratio of each round's pair is taken first, because the two ran next
// to one another and shared what the machine did then; the median of these
// ratios is resampled for the interval.
//
// Ownership: none; values in, values out.
//
// Never: draw a conclusion from fewer rounds than ConclusionRounds, or from an
// interval that spans 1; depend on the time or on a random source that is not
// seeded.
//
// Kernel: none.
package stats
