package contract

import (
	"encoding/binary"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// What was asked before a frame that can't be is answered, whatever the depth
// of the pipeline and however slow the handler.
//
// Kafka: SS-08, F-12.
func TestAFrameThatCannotBeEndsTheConnectionAfterTheAnswersBeforeIt(t *testing.T) {
	for name, size := range map[string]uint32{"negative": 1<<32 - 1, "too big": 1 << 20} {
		for depth, pipeline := range map[string]int{"one by one": 1, "pipelined": 4} {
			t.Run(name+"/"+depth, func(t *testing.T) {
				servertest.Each(t, func(t *testing.T, cfg kring.Config) {
					cfg.Limits.FrameBytesMax, cfg.Limits.PipelineMax = 4096, pipeline
					s := servertest.Start(t, cfg, servertest.Echo)
					c := servertest.Dial(t, s)
					frames := append(servertest.Frame([]byte("one")), servertest.Frame([]byte("two"))...)
					if _, err := c.Write(binary.BigEndian.AppendUint32(frames, size)); err != nil {
						t.Fatal(err)
					}
					for _, want := range []string{"one", "two"} {
						if got := c.Receive(); got != want {
							t.Errorf("answer %q, want %q", got, want)
						}
					}
					c.AwaitClose()
					servertest.Eventually(t, "the close is counted", func() bool {
						closed := s.Stats().Total.Closed
						return closed[reqchan.FrameTooBig]+closed[reqchan.FrameSizeNegative] == 1
					})
				})
			})
		}
	}
}

// Kafka: SE-10.
func TestAFrameOfNoBytesIsAFrame(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, servertest.Echo))
		c.Send("", "a", "")
		for _, want := range []string{"", "a", ""} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
	})
}

// Sizes and payloads may come in any pieces.
//
// Kafka: NetworkReceiveTest, F-13.
func TestAFrameInPiecesIsOneFrame(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, servertest.Echo))
		want := "a payload that comes byte by byte"
		for _, b := range servertest.Frame([]byte(want)) {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.Receive(); got != want {
			t.Errorf("answer %q", got)
		}
	})
}

// Kafka: SE-07.
func TestAPayloadLargerThanEveryBufferComesBackWhole(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, servertest.Echo))
		large := strings.Repeat("0123456789abcdef", 4<<20/16)
		sent := aside(t, c, large, "small")
		for _, want := range []string{large, "small"} {
			if got := c.Receive(); got != want {
				t.Errorf("an answer of %d bytes, want %d", len(got), len(want))
			}
		}
		<-sent
	})
}

// Kafka: SE-09.
func TestManyLargePayloadsComeBackInOrder(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		c := servertest.Dial(t, servertest.Start(t, cfg, servertest.Echo))
		const payloads, bytes = 16, 512 << 10
		payload := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), bytes) }
		var all []string
		for i := range payloads {
			all = append(all, payload(i))
		}
		sent := aside(t, c, all...)
		for i := range payloads {
			if got := c.Receive(); got != payload(i) {
				t.Fatalf("answer %d has %d bytes and begins with %.1q", i, len(got), got)
			}
		}
		<-sent
	})
}

// aside sends while the test receives. The channel closes when all is sent.
func aside(t *testing.T, c *servertest.Client, payloads ...string) <-chan struct{} {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, p := range payloads {
			if _, err := c.Write(servertest.Frame([]byte(p))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return sent
}
