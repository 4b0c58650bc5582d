package contract

import (
	"strings"
	"testing"

	"kring"
	"kring/internal/heldfile"
	"kring/internal/servertest"
)

// Reads that wait for a slow disk hold up no socket of their processor, and no read
// of another file either, as long as there are not more of them than a processor
// reads at once. Those of the file system here are never in memory, and can't be
// asked not to wait.
//
// Kafka: Q-10.
func TestFilesThatAreSlowToReadHoldUpNobodyElse(t *testing.T) {
	const slow, length = 15, 300_000 // one fewer than is read at once
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		disk := heldfile.Mount(t)
		if disk == nil {
			return // it takes root; processor's tests look at the same without a disk
		}
		files := map[string]kring.Part{"cold": {File: disk.Cold(), Length: length}, "warm": {File: disk.Warm(), Length: length}}
		content := strings.Repeat("\x00", length)
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
			other.Ask("warm", content)
		}
		disk.Release()
		for _, c := range waiting {
			if got := c.Receive(); got != content {
				t.Fatalf("%d bytes of %d", len(got), length)
			}
		}
	})
}
