package contract

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/engine"
	"kring/internal/servertest"
)

const largeReply = 1 << 20

// liar answers what begins with L by far more than anybody asked for, and echoes the rest.
func liar(t *testing.T, secure *tls.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for {
					asked, err := servertest.ReadFrame(c)
					if err != nil {
						return
					}
					if asked[0] == 'L' {
						asked = append(asked, bytes.Repeat([]byte{'x'}, largeReply-len(asked))...)
					}
					if _, err := c.Write(servertest.Frame(asked)); err != nil {
						return
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// TestRepliesOfALyingUpstreamStayWithinTheMemoryOfResponses: many large ones come at once, for
// clients that do not read. Small requests go on, and once the clients read all of them get
// what they were answered.
func TestRepliesOfALyingUpstreamStayWithinTheMemoryOfResponses(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) { lyingUpstream(t, cfg, liar(t, nil), nil) })
	server, client := servertest.TLS()
	for _, engine := range servertest.Engines() {
		t.Run(string(engine)+"/tls", func(t *testing.T) {
			lyingUpstream(t, servertest.Config(engine, kring.DispatchInline), liar(t, server), client)
		})
	}
}

func lyingUpstream(t *testing.T, cfg kring.Config, address string, secure *tls.Config) {
	const room, large, small = 8 << 20, 12, 4
	most := room + int64(cfg.Processors.Count)*(largeReply+1<<10) // one for each processor counts twice for a moment
	cfg.Memory.ResponseBytesMax = room
	cfg.Timeouts.Write = time.Hour // nobody is hurried
	cfg.Socket = engine.SocketOptions{SendBufferBytes: 16 << 10}
	s, _ := startRelay(t, cfg, kring.UpstreamConfig{Address: address, TLS: secure, OpenTimeout: time.Minute, FrameTimeout: time.Minute, WriteTimeout: time.Minute})
	clients := make([]*servertest.Client, large)
	for i := range clients {
		clients[i] = servertest.Dial(t, s)
		if err := clients[i].Conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
		clients[i].Send(fmt.Sprintf("L%03d", i))
	}
	servertest.Eventually(t, "replies wait for room", func() bool {
		st := s.Stats().Responses
		if st.Used > most {
			t.Errorf("%d bytes are taken, of %d", st.Used, most)
		}
		return st.Waiting > 0
	})
	for i := range small {
		c := servertest.Dial(t, s)
		for k := range 10 {
			c.Ask(fmt.Sprintf("S%d/%d", i, k), fmt.Sprintf("S%d/%d", i, k))
		}
	}
	if st := s.Stats().Responses; st.Used > most {
		t.Errorf("%d bytes are taken, of %d", st.Used, most)
	}
	var reading sync.WaitGroup
	for i, c := range clients {
		reading.Go(func() {
			_ = c.Conn.(*net.TCPConn).SetReadBuffer(largeReply) // it is in no doubt any more
			var head [8]byte
			_, err := io.ReadFull(c, head[:])
			n, copied := int64(binary.BigEndian.Uint32(head[:])), int64(0)
			if err == nil {
				copied, err = io.CopyN(io.Discard, c, n-4)
			}
			if want := fmt.Sprintf("L%03d", i); err != nil || n != largeReply || string(head[4:]) != want {
				t.Errorf("client %d got %d of %d bytes, which begin with %q: %v", i, copied, n, head[4:], err)
			}
		})
	}
	reading.Wait()
	servertest.Shutdown(t, s)
}
