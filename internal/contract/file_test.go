package contract

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// file writes n random bytes, and gives them.
func file(t *testing.T, n int) (*os.File, []byte) {
	t.Helper()
	content := make([]byte, n)
	_, _ = servertest.Random(uint64(n)).Read(content)
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, content
}

// respondParts answers, or fails the test.
func respondParts(t *testing.T, r kring.Request, released func(), parts ...kring.Part) {
	if err := r.RespondParts(parts, released); err != nil {
		t.Error(err)
		r.CloseConnection(kring.CloseReason(0))
	}
}

// Kafka: F-44, F-45, Q-10, U-2.
func TestAResponseOfBytesAndRangesOfFilesArrivesAsOneFrame(t *testing.T) {
	f, content := file(t, 3<<20)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var released atomic.Int64
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch string(r.Payload()) {
			case "mixed":
				respondParts(t, r, func() { released.Add(1) },
					kring.Part{Bytes: []byte("head")}, kring.Part{File: f, Offset: 7, Length: 5}, kring.Part{Bytes: []byte("middle")},
					kring.Part{File: f, Length: 0}, kring.Part{File: f, Offset: 100_000, Length: 700_001}, kring.Part{Bytes: []byte("tail")})
			case "whole":
				respondParts(t, r, func() { released.Add(1) }, kring.Part{File: f, Length: int64(len(content))})
			case "nothing":
				respondParts(t, r, func() { released.Add(1) })
			default:
				r.Respond(r.Payload())
			}
		}))
		c := servertest.Dial(t, s)
		c.Send("before", "mixed", "between", "whole", "nothing", "after")
		mixed := "head" + string(content[7:12]) + "middle" + string(content[100_000:800_001]) + "tail"
		for i, want := range []string{"before", mixed, "between", string(content), "", "after"} {
			if got := c.Receive(); got != want {
				t.Fatalf("response %d: %d bytes differ from the %d expected", i, len(got), len(want))
			}
		}
		servertest.Eventually(t, "the files are released", func() bool { return released.Load() == 3 })
		if st := s.Stats(); st.Total.FileReads < 25 {
			t.Errorf("%d reads of files", st.Total.FileReads)
		}
	})
}

func TestFileResponsesOfManyClientsInOrderWithPipelines(t *testing.T) {
	f, content := file(t, 600_000)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.PipelineMax = 8
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			at := int64(r.Payload()[0])
			respondParts(t, r, nil, kring.Part{Bytes: r.Payload()}, kring.Part{File: f, Offset: at * 1000, Length: 200_000 + at})
		}))
		var clients []*servertest.Client
		for range 6 {
			c := servertest.Dial(t, s)
			for i := range 12 {
				c.Send(string([]byte{byte(i)}))
			}
			clients = append(clients, c)
		}
		for k, c := range clients {
			for i := range 12 {
				want := string([]byte{byte(i)}) + string(content[i*1000:i*1000+200_000+i])
				if got := c.Receive(); got != want {
					t.Fatalf("client %d, response %d differs (%d bytes, want %d)", k, i, len(got), len(want))
				}
			}
		}
	})
}

func TestAClientThatGoesAwayReleasesTheFilesOfItsResponse(t *testing.T) {
	f, _ := file(t, 8<<20)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var released atomic.Int64
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			respondParts(t, r, func() { released.Add(1) }, kring.Part{File: f, Length: 8 << 20})
		}))
		for i := range int64(4) {
			c := servertest.Dial(t, s)
			c.Send("all of it")
			if _, err := c.Read(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			c.Reset()
			servertest.Eventually(t, "the file is released", func() bool { return released.Load() == i+1 })
		}
		servertest.Eventually(t, "the connections are gone", func() bool { return s.Stats().Open == 0 })
	})
}

func TestAFileThatIsShorterThanWasSaidEndsItsConnectionAlone(t *testing.T) {
	f, _ := file(t, 300_000)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "short" {
				respondParts(t, r, nil, kring.Part{File: f, Offset: 100, Length: 400_000})
				return
			}
			r.Respond(r.Payload())
		}))
		honest, c := servertest.Dial(t, s), servertest.Dial(t, s)
		c.Send("short")
		if _, err := servertest.ReadFrame(c); err == nil {
			t.Fatal("a whole frame came of a file that is too short")
		}
		servertest.Eventually(t, "the close is counted", func() bool { return statsOf(s)["file_failed"] == 1 })
		honest.Ask("still here", "still here")
	})
}

func statsOf(s *kring.Server) map[string]uint64 {
	st := s.Stats()
	return st.ClosedBy()
}

func TestPartsThatMakeNoFrameAreRefusedWithTheReason(t *testing.T) {
	f, _ := file(t, 10)
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			var said []string
			for _, parts := range [][]kring.Part{
				{{File: f, Offset: -1, Length: 1}}, {{File: f, Length: -1}}, {{Length: 1}}, {{File: f, Bytes: []byte("x"), Length: 1}},
				{{File: f, Length: 1 << 30}, {File: f, Length: 1 << 30}},
			} {
				if err := r.RespondParts(parts, nil); err != nil {
					said = append(said, err.Error())
				}
			}
			r.Respond([]byte(strings.Join(said, "\n")))
		}))
		c := servertest.Dial(t, s)
		c.Send("try")
		if got := c.Receive(); strings.Count(got, "kring: part") != 5 || !strings.Contains(got, "at most 2147483647") {
			t.Errorf("%s", got)
		}
	})
}

func TestAServerThatIsCutReleasesTheFilesThatItSends(t *testing.T) {
	f, _ := file(t, 8<<20)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var released atomic.Int64
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			respondParts(t, r, func() { released.Add(1) }, kring.Part{Bytes: bytes.Repeat([]byte("x"), 10)}, kring.Part{File: f, Length: 8 << 20})
		}))
		c := servertest.Dial(t, s)
		c.Send("all of it") // and read none of it
		servertest.Eventually(t, "the file is being read", func() bool { return s.Stats().Total.FileReads > 0 })
		cut(t, s)
		if released.Load() != 1 {
			t.Error("the file was not released")
		}
	})
}

// cut ends a server without waiting for its connections.
func cut(t *testing.T, s *kring.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("a server with a response under way was shut down in peace")
	}
}
