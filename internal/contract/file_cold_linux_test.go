package contract

import (
	"os"
	"strings"
	"testing"

	"kring"
	"kring/internal/cachedread"
	"kring/internal/heldfile"
	"kring/internal/servertest"
)

// Reads that wait for a slow disk hold up no socket of their processor, and no read
// of another file either, as long as there are not more of them than are read at once.
// Those of the file system here are never in memory, and can't be asked not to wait.
// When there are as many, a file that is in memory is read all the same.
//
// Kafka: Q-10.
func TestFilesThatAreSlowToReadHoldUpNobodyElse(t *testing.T) {
	const slow, length = 16, 300_000 // as many as are read at once
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		disk := heldfile.Mount(t)
		if disk == nil {
			return // it takes root; processor's tests look at the same without a disk
		}
		content := strings.Repeat("\x00", length)
		cached, inMemory := file(t, length) // it was written just now
		files := map[string]kring.Part{"cold": {File: disk.Cold(), Length: length}, "warm": {File: disk.Warm(), Length: length}, "cached": {File: cached, Length: length}}
		cfg.Processors.Count = 1
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if part, ok := files[string(r.Payload())]; ok {
				respondParts(t, r, nil, part)
				return
			}
			r.Respond(r.Payload())
		}))
		other := servertest.Dial(t, s)
		var waiting []*servertest.Client
		for n := range slow {
			c := servertest.Dial(t, s)
			c.Send("cold")
			waiting = append(waiting, c)
			servertest.Eventually(t, "it is being read", func() bool { return disk.Held() == n+1 })
			other.Ask("no file", "no file")
			if n < slow-1 {
				other.Ask("warm", content)
			} else if tells(cached) {
				other.Ask("cached", string(inMemory))
			}
		}
		disk.Release()
		for _, c := range waiting {
			if got := c.Receive(); got != content {
				t.Fatalf("%d bytes of %d", len(got), length)
			}
		}
	})
}

// tells says that a file's file system can say what is in memory: tmpfs can't.
func tells(file *os.File) bool {
	_, cached := cachedread.At(file, make([]byte, 1), 0)
	return cached
}
