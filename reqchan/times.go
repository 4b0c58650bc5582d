package reqchan

// Times is a request's way, in nanoseconds: the moments by measure.Now, and 0
// where it has not come so far. Each belongs to whoever has the request then.
type Times struct {
	// Taken: the handler began with it, or with the batch it is part of.
	Taken int64
	// Local is how long Handle took.
	Local int64
	// Arrived: the beginning of the processor's pass in which it was cut.
	Arrived int64
	// Answered: when it was answered, if that was after Handle returned.
	Answered int64
	// Throttled is how long its connection is muted after it (KIP-219).
	Throttled int64
}

// Ready is when the answer was there, as far as is known.
func (t *Times) Ready() int64 { return max(t.Taken+t.Local, t.Answered) }
