package contract

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// eachTLS runs a property on every engine and dispatch, over TLS 1.2 and 1.3.
func eachTLS(t *testing.T, property func(t *testing.T, cfg kring.Config, server, client *tls.Config)) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			server, client := servertest.TLS()
			client.MinVersion, client.MaxVersion = version, version
			t.Run(tls.VersionName(version), func(t *testing.T) { property(t, servertest.Secure(cfg, server), server, client) })
		}
	})
}

// closedFor waits until connections were closed for a reason.
func closedFor(t *testing.T, s *kring.Server, why kring.CloseReason, n uint64) {
	t.Helper()
	servertest.Eventually(t, fmt.Sprintf("%d connections are closed for %v", n, why), func() bool { return closedBy(s, why) == n })
}

// Kafka: SS-25.
func TestFramesOfAllSizesGoOverTLS(t *testing.T) {
	f, content := file(t, 300_000)
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		cfg.Limits.PipelineMax = 8
		var seen atomic.Pointer[tls.ConnectionState]
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch string(r.Payload()) {
			case "state":
				seen.Store(r.Conn().TLS())
				r.Respond([]byte(r.Conn().Principal()))
			case "file":
				respondParts(t, r, nil, kring.Part{Bytes: []byte("head")}, kring.Part{File: f, Length: int64(len(content))})
			default:
				r.Respond(r.Payload())
			}
		}))
		client.NextProtos = []string{"kafka"}
		c := servertest.DialTLS(t, s, client)
		c.Ask("state", "User:ANONYMOUS")
		if state := seen.Load(); state == nil || state.Version != client.MaxVersion || state.ServerName != "localhost" {
			t.Errorf("the handler saw %+v", state)
		}
		for _, n := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 70_000, 1 << 20} {
			want := strings.Repeat("x", n)
			c.Ask(want, want)
		}
		var all []string
		for n := range 40 {
			all = append(all, strings.Repeat(string(rune('a'+n)), n*n*n))
		}
		sent := aside(t, c, all...)
		for _, want := range all {
			if got := c.Receive(); got != want {
				t.Fatalf("%d bytes for %d", len(got), len(want))
			}
		}
		<-sent
		c.Send("file", "after")
		if got := c.Receive(); got != "head"+string(content) {
			t.Errorf("a file came as %d bytes", len(got))
		}
		if got := c.Receive(); got != "after" {
			t.Errorf("after the file came %q", got)
		}
		if err := c.Conn.(*tls.Conn).Close(); err != nil {
			t.Error(err)
		}
		closedFor(t, s, reqchan.PeerFinished, 1)
	})
}

// A peer that ended in the middle of a record is told apart from one that said so.
//
// Kafka: SslSelectorTest (testDisconnectWithIntermediateBufferedBytes), SslTransportLayerTest, F-78.
func TestATruncationIsToldApartFromACloseNotify(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		raw := servertest.Dial(t, s)
		out := &tap{Conn: raw.Conn}
		c := tls.Client(out, client)
		if _, err := c.Write(servertest.Frame([]byte("whole"))); err != nil {
			t.Fatal(err)
		}
		if got, err := servertest.ReadFrame(c); err != nil || string(got) != "whole" {
			t.Fatal(string(got), err)
		}
		out.most = 20
		_, _ = c.Write(servertest.Frame([]byte("cut off")))
		_ = raw.Conn.(*net.TCPConn).CloseWrite()
		closedFor(t, s, reqchan.Truncated, 1)
		in := servertest.DialTLS(t, s, client)
		in.Ask("hello", "hello")
		if err := in.Conn.(*tls.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := in.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after both ends: %d bytes, %v", n, err)
		}
		closedFor(t, s, reqchan.PeerFinished, 1)
	})
}

// tap is a connection of which no more than most bytes of a Write go out, if that is set,
// and whose bytes go out in pieces of size, if that is.
type tap struct {
	net.Conn
	most, size int
}

func (x *tap) Write(b []byte) (int, error) {
	n := len(b)
	if x.most > 0 {
		b = b[:min(n, x.most)]
	}
	size := len(b)
	if x.size > 0 {
		size = x.size
	}
	for len(b) > 0 {
		m := min(size, len(b))
		if _, err := x.Conn.Write(b[:m]); err != nil {
			return 0, err
		}
		b = b[m:]
	}
	return n, nil
}

// Requests that came before the end are answered, and then the server ends in order too.
//
// Kafka: SslSelectorTest (testBytesBufferedChannelWithNoIncomingBytes), F-78.
func TestRequestsBeforeACloseNotifyAreAnswered(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.DialTLS(t, s, client)
		c.Send("one", "two", "three")
		if err := c.Conn.(*tls.Conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"one", "two", "three"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("at the end %d bytes, %v", n, err)
		}
	})
}

// Kafka: SslTransportLayerTest, F-78.
func TestADrainSaysCloseNotify(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.DialTLS(t, s, client)
		c.Ask("hello", "hello")
		servertest.Shutdown(t, s)
		if n, err := c.Read(make([]byte, 1)); err != io.EOF { // crypto/tls: io.ErrUnexpectedEOF without close_notify inside a record
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// Kafka: SslTransportLayerTest, F-75.
func TestWhoSpeaksAnotherProtocolIsClosedForThatAndNotAnswered(t *testing.T) {
	servertest.Each(t, func(t *testing.T, plain kring.Config) {
		server, client := servertest.TLS()
		s := servertest.Start(t, servertest.Secure(plain, server), servertest.Echo)
		c := servertest.Dial(t, s)
		c.Send("a frame in plain text")
		c.AwaitClose() // without an alert: Kafka's Java client takes it for the size of a frame
		closedFor(t, s, reqchan.PlaintextOnTLS, 1)
		h := servertest.Dial(t, s)
		for _, b := range []byte("GET / HTTP/1.1\r\n") {
			if _, err := h.Write([]byte{b}); err != nil {
				break
			}
		}
		h.AwaitClose()
		closedFor(t, s, reqchan.HTTPRequest, 1)

		s = servertest.Start(t, plain, servertest.Echo)
		if err := servertest.DialTLS(t, s, client).Conn.(*tls.Conn).Handshake(); err == nil {
			t.Error("a handshake without TLS")
		}
		closedFor(t, s, reqchan.TLSOnPlaintext, 1)
		h = servertest.Dial(t, s)
		if _, err := io.WriteString(h, "POST / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		h.AwaitClose()
		closedFor(t, s, reqchan.HTTPRequest, 1)
	})
}

// A refusal reaches its client: it reads the alert and no reset, whatever it has sent on.
//
// Kafka: SslTransportLayerTest, F-75.
func TestARefusedClientReadsWhy(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, server, client *tls.Config) {
		server.ClientAuth = tls.RequireAndVerifyClientCert
		client.Certificates = nil
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.DialTLS(t, s, client)
		_, _ = c.Write(bytes.Repeat(servertest.Frame([]byte("too early")), 5000)) // a client of TLS 1.3 is done by now
		_, err := io.ReadAll(c)
		if alert := (*net.OpError)(nil); !errors.As(err, &alert) || alert.Op != "remote error" || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "handshake failure") {
			t.Errorf("the client reads %v", err)
		}
		_ = c.Close()
		closedFor(t, s, reqchan.HandshakeFailed, 1)
	})
}

// Kafka: F-81.
func TestThePrincipalOfACertificateIsAskedForOnce(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, server, client *tls.Config) {
		server.ClientAuth = tls.RequireAndVerifyClientCert
		var asked atomic.Int64 // by the loops of two processors
		cfg.Listeners[0].TLS.Principal = func(s *tls.ConnectionState) (string, error) {
			if asked.Add(1) > 1 {
				return "", errors.New("no rule matches")
			}
			return "User:CN=" + s.PeerCertificates[0].Subject.CommonName, nil
		}
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond([]byte(r.Conn().Principal())) }))
		c := servertest.DialTLS(t, s, client)
		c.Ask("who", "User:CN=localhost")
		c.Ask("who", "User:CN=localhost")
		refused := servertest.DialTLS(t, s, client)
		_, _ = refused.Write(servertest.Frame([]byte("who")))
		if _, err := refused.Read(make([]byte, 1)); err == nil {
			t.Error("it was answered")
		}
		closedFor(t, s, reqchan.AuthenticationFailed, 1)
	})
}

// A handshake that does not come to its end is cut off, whatever it waits for; one that
// comes byte by byte and in time is not.
//
// Kafka: SslTransportLayerTest, F-74.
func TestAHandshakeHasADeadline(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		server, client := servertest.TLS()
		cfg = servertest.Secure(cfg, server)
		cfg.Listeners[0].TLS.HandshakeTimeout = time.Hour
		s := servertest.Start(t, cfg, servertest.Echo)
		slow := servertest.Dial(t, s)
		c := tls.Client(&tap{Conn: slow.Conn, size: 1}, client)
		if err := c.Handshake(); err != nil {
			t.Errorf("byte by byte: %v", err)
		}

		cfg.Listeners[0].TLS.HandshakeTimeout = 20 * time.Millisecond
		s = servertest.Start(t, cfg, servertest.Echo)
		silent, stuck := servertest.Dial(t, s), servertest.Dial(t, s)
		_, _ = stuck.Write([]byte("\x16\x03\x01\x02\x00\x01")) // it may be closed by now, as one that is silent
		silent.AwaitClose()
		stuck.AwaitClose()
		closedFor(t, s, reqchan.HandshakeTimeout, 2)
	})
}

// firstMessage is what a client begins its handshake with.
func firstMessage(t *testing.T, client *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Client(near, client).Handshake() }()
	b := make([]byte, 64<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// Clients that begin a handshake and do not go on keep nobody out: they make way, and those
// that have not sent a whole message take no place at all.
//
// Kafka: Q-11.
func TestGoodClientsGetInBesideACrowdThatStalls(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		server, client := servertest.TLS()
		cfg = servertest.Secure(cfg, server)
		cfg.Listeners[0].TLS.HandshakesMax, cfg.Listeners[0].TLS.HandshakesWaitingMax = 1, 7
		cfg.Listeners[0].TLS.HandshakeTimeout = time.Hour
		s := servertest.Start(t, cfg, servertest.Echo)
		hello := firstMessage(t, client)
		for range 30 {
			_, _ = servertest.Dial(t, s).Write(hello[:len(hello)-1])
		}
		servertest.DialTLS(t, s, client).Ask("beside silence", "beside silence")
		if n := closedBy(s, reqchan.HandshakesFull); n != 0 {
			t.Errorf("%d were closed for others that had sent nothing whole", n)
		}
		for range 30 {
			_, _ = servertest.Dial(t, s).Write(hello)
		}
		closedFor(t, s, reqchan.HandshakesFull, 30-8)
		for range 3 { // the crowd may be computing still: nobody makes way meanwhile
			servertest.Eventually(t, "a good client gets in beside the crowd", func() bool {
				return servertest.DialTLS(t, s, client).Conn.(*tls.Conn).Handshake() == nil
			})
		}
	})
}

// Connections go on with another processor: between requests, and when their handshake is
// done.
func TestTLSGoesOnWithAnotherProcessor(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		cfg.Processors.Count = 3
		s := servertest.Start(t, cfg, servertest.Echo)
		var clients []*servertest.Client
		for range 6 {
			c := servertest.DialTLS(t, s, client)
			c.Ask("before", "before")
			clients = append(clients, c)
		}
		young := servertest.Dial(t, s)
		tapped := tls.Client(young.Conn, client)
		cfg.Processors.Count = 1
		reconfigure(t, s, cfg)
		large := strings.Repeat("x", 100_000)
		for _, c := range clients {
			c.Ask("after", "after")
			c.Ask(large, large)
		}
		if err := tapped.Handshake(); err != nil {
			t.Error(err)
		}
	})
}
