package contract

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// Who is refused with an answer reads it, however much it had sent that nobody read: a reset
// would take the answer away, and the client would come again.
//
// Kafka: SaslAuthenticatorTest, F-78.
func TestALastAnswerReachesAClientThatHasSentMore(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "after a delay": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			servertest.Each(t, func(t *testing.T, cfg kring.Config) {
				server, client := servertest.TLS()
				lastAnswer(t, cfg, after, func(s *kring.Server) *servertest.Client { return servertest.Dial(t, s) })
				lastAnswer(t, servertest.Secure(cfg, server), after, func(s *kring.Server) *servertest.Client { return servertest.DialTLS(t, s, client) })
			})
		})
	}
}

func lastAnswer(t *testing.T, cfg kring.Config, after time.Duration, dial func(*kring.Server) *servertest.Client) {
	s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
		r.CloseConnectionAfter(reqchan.AuthenticationFailed, after, []byte("refused"))
	}))
	c := dial(s)
	more, began := servertest.Frame(make([]byte, 1000)), time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 200 {
			_, _ = c.Write(more) // to whom has ended its side, and still takes it
		}
	}()
	<-sent // whatever became of it
	if got := c.Receive(); got != "refused" {
		t.Errorf("the last answer is %q", got)
	}
	// Two seconds after it the server has had enough of a client that has not ended its side.
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF && time.Since(began) < time.Second {
		t.Errorf("behind the last answer %d bytes, %v", n, err)
	}
	_ = c.Close()
	closedFor(t, s, reqchan.AuthenticationFailed, 1)
}

// A client that does not end its side is ended after a while, and so is one that goes on
// sending.
func TestARefusedClientThatStaysIsEnded(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.CloseConnectionAfter(reqchan.AuthenticationFailed, 0, []byte("refused"))
		}))
		c := servertest.Dial(t, s)
		c.Ask("hello", "refused")
		go func() { // until the other side has had enough of it
			for b := bytes.Repeat([]byte{1}, 64<<10); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}()
		closedFor(t, s, reqchan.AuthenticationFailed, 1)
	})
}

// Requests in front of a bare FIN, without a close_notify, are answered as those in front of
// one in plain text are: frames have lengths, so nothing can be missing. Kafka drops such
// answers; a client that does not wait for them does not miss them.
//
// Kafka: SslTransportLayerTest, F-78.
func TestRequestsBeforeABareFINAreAnsweredOverTLS(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		raw := servertest.Dial(t, s)
		c := tls.Client(raw.Conn, client)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"one", "two", "three"} {
			if _, err := c.Write(servertest.Frame([]byte(want))); err != nil {
				t.Fatal(err)
			}
		}
		if err := raw.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"one", "two", "three"} {
			if got, err := servertest.ReadFrame(c); err != nil || string(got) != want {
				t.Errorf("answer %q, %v, want %q", got, err, want)
			}
		}
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("at the end %d bytes, %v", n, err)
		}
		closedFor(t, s, reqchan.PeerFinished, 1)
	})
}

// A client whose record is broken while most of a long answer waits for it gets the alert behind
// what was on its way, and the connection ends: what can't be sealed any more is waited for by
// nobody.
func TestABrokenRecordEndsAConnectionThatHasMuchToSend(t *testing.T) {
	answer := make([]byte, 8<<20)
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond(answer) }))
		raw := servertest.Dial(t, s)
		c := tls.Client(raw.Conn, client)
		if _, err := c.Write(servertest.Frame([]byte("much"))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		before := s.Stats().Total.BytesIn
		if _, err := raw.Conn.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)); err != nil {
			t.Fatal(err)
		}
		servertest.Eventually(t, "the record has come", func() bool { return s.Stats().Total.BytesIn > before })
		if _, err := io.Copy(io.Discard, c); err == nil || !strings.Contains(err.Error(), "remote error") {
			t.Errorf("behind the answer: %v, want an alert", err)
		}
		_ = raw.Close() // else it is waited for
		closedFor(t, s, reqchan.HandshakeFailed, 1)
	})
}
