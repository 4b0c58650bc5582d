//go:build !race && !invariants

package contract

import (
	"crypto/tls"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// resident is how much memory this process has, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestAnIdleTLSConnectionTakesLittle: 12 KiB all told, after it had a record of 16 KiB in each
// direction; crypto/tls alone keeps the 17 KiB of the largest. What the client keeps here is its
// socket, which counts as well.
func TestAnIdleTLSConnectionTakesLittle(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const warm, conns, bytesMax = 128, 256, 12 << 10
		server, client := servertest.TLS()
		cfg.URing.Buffers, cfg.Epoll.Buffers, cfg.Portable.Buffers = 16, 16, 16 // all have been used before it is measured
		s := servertest.Start(t, servertest.Secure(cfg, server), servertest.Echo)
		payload := make([]byte, 16<<10-4) // one record, with its size
		idle := func(n int) {
			for range n {
				// The client's side of TLS is forgotten: it would count.
				c := tls.Client(servertest.Dial(t, s).Conn, client)
				if _, err := c.Write(servertest.Frame(payload)); err != nil {
					t.Fatal(err)
				}
				if got, err := servertest.ReadFrame(c); err != nil || len(got) != len(payload) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
		}
		idle(warm)
		debug.FreeOSMemory()
		before := resident(t)
		idle(conns)
		each := 0
		for deadline := time.Now().Add(servertest.Deadline); time.Now().Before(deadline); {
			debug.FreeOSMemory()
			if each = (resident(t) - before) / conns; each <= bytesMax {
				break
			}
		}
		t.Logf("%d bytes for each", each)
		if each > bytesMax {
			t.Errorf("an idle connection takes %d bytes", each)
		}
		if open := s.Stats().Open; open != warm+conns {
			t.Errorf("%d open", open)
		}
	})
}
