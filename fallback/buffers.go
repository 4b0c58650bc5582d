package fallback

import "kring/internal/fault"

// An engine's receive buffers, where its Config says nothing else.
const (
	// BuffersDefault is how many buffers an engine may lend at once.
	BuffersDefault = 256
	// BufferBytesDefault is the size of each.
	BufferBytesDefault = 16 << 10
)

const (
	bufferBytesMin   = 512
	bufferBytesMax   = 1 << 20
	memoryBytesLimit = 1 << 30
)

// BuffersIn is the default number of buffers of bufferBytes each: BuffersDefault, or fewer
// if that takes more than the given bytes, at least 16.
func BuffersIn(bytes int64, bufferBytes int) int {
	return int(min(BuffersDefault, max(16, bytes/int64(bufferBytes))))
}

// BufferFaults returns the faults of so many receive buffers of so many bytes each,
// with the names of a Config's fields.
func BufferFaults(buffers, bufferBytes int) (f fault.List) {
	f.Add(buffers < 1, "Buffers", "is %d: use at least 1, or 0 for %d", buffers, BuffersDefault)
	f.Add(bufferBytes < bufferBytesMin || bufferBytes > bufferBytesMax, "BufferBytes", "is %d: use %d to %d, or 0 for %d",
		bufferBytes, bufferBytesMin, bufferBytesMax, BufferBytesDefault)
	f.Add(buffers > memoryBytesLimit/max(bufferBytes, 1), "Buffers", "is %d, of %d bytes each, more than %d MiB an engine: lower one of the two",
		buffers, bufferBytes, memoryBytesLimit>>20)
	return f
}
