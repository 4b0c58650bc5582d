package queue

// pad keeps what is written by different goroutines apart: two cache lines,
// because the prefetcher of many processors fetches them in pairs.
type pad [128]byte
