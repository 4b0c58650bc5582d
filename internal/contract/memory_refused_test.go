package contract

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/internal/slab"
	"kring/reqchan"
)

// The system refuses memory while a server is at work: for a frame, for bytes that
// wait to be cut, for a response, in whichever way it is given, for a piece of a
// file. Whose memory it was is closed, which is counted; everybody else is served,
// with what there is; and later the memory is there again, and nobody waits for a
// lock that somebody took along.
func TestRefusedMemoryCostsAConnectionAndNothingElse(t *testing.T) {
	const much = 1 << 20
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(much); err != nil {
		t.Fatal(err)
	}
	bytes := strings.Repeat("x", much)
	handler := kring.HandlerFunc(func(r kring.Request) {
		switch payload := string(r.Payload()); payload {
		case "buffer":
			r.Respond(append(r.Buffer(much)[:0], bytes...))
		case "respond":
			r.Respond([]byte(bytes))
		case "parts":
			_ = r.RespondParts([]kring.Part{{Bytes: []byte(bytes)}}, nil)
		case "file":
			_ = r.RespondParts([]kring.Part{{File: file, Length: much}}, nil)
		case "later":
			go r.Respond([]byte(bytes))
		default:
			r.Respond(r.Payload()[:min(len(r.Payload()), 10)])
		}
	})
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		s := servertest.Start(t, cfg, handler)
		neighbour := servertest.Dial(t, s)
		neighbour.Ask("before", "before")
		var refused atomic.Int64
		restore := slab.Refuse(func(int) error { refused.Add(1); return syscall.ENOMEM })
		defer restore()
		asked := []string{"buffer", "respond", "parts", "file", "later", bytes, bytes[:50_000]}
		for i, what := range asked {
			c := servertest.Dial(t, s)
			_, _ = c.Write(servertest.Frame([]byte(what))) // it may be closed before all of it is written
			c.AwaitClose()
			servertest.Eventually(t, "the reason is counted", func() bool {
				st := s.Stats()
				return st.Total.Closed[reqchan.MemoryRefused]+st.Total.Closed[reqchan.PeerReset] == uint64(i+1)
			})
			neighbour.Ask("meanwhile", "meanwhile")
		}
		if refused.Load() < int64(len(asked)) {
			t.Errorf("memory was refused %d times, for %d connections", refused.Load(), len(asked))
		}
		if n := s.Stats().Total.Closed[reqchan.MemoryRefused]; n < uint64(len(asked)-1) {
			t.Errorf("%d connections closed for it, of %d", n, len(asked))
		}
		restore()
		for _, what := range asked {
			c := servertest.Dial(t, s)
			c.Send(what)
			if got := c.Receive(); len(got) != much && len(got) != 10 {
				t.Errorf("%.10s: %d bytes afterwards", what, len(got))
			}
		}
		neighbour.Ask("after", "after")
	})
}
