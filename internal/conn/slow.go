package conn

import (
	"time"

	"kring/reqchan"
)

// SlowReader says what happens to a connection whose unread responses reach
// QueuedBytesMax. One response alone, however large, never makes a slow reader:
// it must have been queued behind others.
type SlowReader uint8

const (
	// SlowReaderPause: nothing further of it is served until it has read; the
	// WriteTimeout ends one that reads nothing.
	SlowReaderPause SlowReader = iota
	// SlowReaderThrottle: beside that it is muted for slowReaderThrottle, even
	// if it reads on at once.
	SlowReaderThrottle
	// SlowReaderClose: it is closed.
	SlowReaderClose
)

// slowReaderThrottle is one window of Kafka's quotas.
const slowReaderThrottle = int64(time.Second)

// meetSlowReader is told of a connection before so much is queued on it that its
// responses reach QueuedBytesMax. Invariant: a request of c is still counted as in
// flight, so that a throttle may begin.
func (c *Conn) meetSlowReader() {
	c.shared.count.Slow++
	switch c.set.SlowReader {
	case SlowReaderThrottle:
		c.throttle(c.shared.now + slowReaderThrottle)
	case SlowReaderClose:
		c.terminate(reqchan.SlowReader)
	}
}
