package fallback

import "fmt"

// An engine's receive buffers, where its Config says nothing else.
const (
	BuffersDefault     = 256
	BufferBytesDefault = 16 << 10
)

const (
	bufferBytesMin   = 512
	bufferBytesMax   = 1 << 20
	memoryBytesLimit = 1 << 30
)

// BufferFaults says what is wrong with so many receive buffers of so many bytes
// each, in the names of a Config.
func BufferFaults(buffers, bufferBytes int) (faults []error) {
	if buffers < 1 {
		faults = append(faults, fmt.Errorf("Buffers is %d: use at least 1, or 0 for %d", buffers, BuffersDefault))
	}
	if bufferBytes < bufferBytesMin || bufferBytes > bufferBytesMax {
		faults = append(faults, fmt.Errorf("BufferBytes is %d: use %d to %d, or 0 for %d",
			bufferBytes, bufferBytesMin, bufferBytesMax, BufferBytesDefault))
	}
	if buffers > memoryBytesLimit/max(bufferBytes, 1) {
		faults = append(faults, fmt.Errorf("Buffers of %d times BufferBytes of %d is more than %d MiB an engine: lower one of them",
			buffers, bufferBytes, memoryBytesLimit>>20))
	}
	return faults
}
