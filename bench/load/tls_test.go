package load

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/tlstest"
)

// echoTLS is echo behind crypto/tls.
func echoTLS(t *testing.T, with *tls.Config, answer func([]byte) bool) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", with)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); serveFrames(c, answer, new(atomic.Int64)) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// TestTheGeneratorsOwnRecordsAreTLS: a server by crypto/tls opens what it seals, and it
// opens, or counts, what that one seals, of every size.
func TestTheGeneratorsOwnRecordsAreTLS(t *testing.T) {
	server, _ := tlstest.Configs()
	addr := echoTLS(t, server, nil)
	for _, portable := range []bool{false, true} {
		for _, verify := range []bool{false, true} {
			for _, payload := range []int{16, 128, 40_000} {
				t.Run(fmt.Sprintf("portable=%t/verify=%t/%d", portable, verify, payload), func(t *testing.T) {
					r, err := Run(Config{Address: addr, TLS: true, PayloadBytes: payload, Conns: 3, Depth: 8, Verify: verify, Portable: portable,
						WarmUp: 20 * time.Millisecond, Duration: 60 * time.Millisecond, DrainTimeout: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					if r.Total == 0 || r.Errors.Count() > 0 {
						t.Fatalf("%d answers, %d errors: %s", r.Total, r.Errors.Count(), r.Errors.First)
					}
				})
			}
		}
	}
}

// TestAWrongAnswerBehindTLSIsFound, as one without.
func TestAWrongAnswerBehindTLSIsFound(t *testing.T) {
	server, _ := tlstest.Configs()
	addr := echoTLS(t, server, func(frame []byte) bool { frame[len(frame)-1] ^= 1; return true })
	r, err := Run(Config{Address: addr, TLS: true, Conns: 2, WarmUp: 10 * time.Millisecond, Duration: 20 * time.Millisecond, DrainTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors.Mismatch == 0 {
		t.Errorf("no answer was found wrong: %+v", r.Errors)
	}
}

// TestHandshakesAreWhatWasAskedFor: each request is a connection, and its handshake is
// resumed, or never.
func TestHandshakesAreWhatWasAskedFor(t *testing.T) {
	for _, kind := range []Handshakes{FullHandshakes, ResumedHandshakes} {
		server, _ := tlstest.Configs()
		var shakes, resumed atomic.Int64
		server.VerifyConnection = func(s tls.ConnectionState) error {
			shakes.Add(1)
			if s.DidResume {
				resumed.Add(1)
			}
			return nil
		}
		const conns = 4
		run := func(lasts time.Duration) (enough bool) {
			shakes.Store(0)
			resumed.Store(0)
			r, err := Run(Config{Address: echoTLS(t, server, nil), TLS: true, Handshakes: kind, Conns: conns,
				WarmUp: 20 * time.Millisecond, Duration: lasts, DrainTimeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if r.Errors.Count() > 0 || uint64(shakes.Load()) != r.Total {
				t.Fatalf("%s: %d answers and %d handshakes, %d errors: %s", kind, r.Total, shakes.Load(), r.Errors.Count(), r.Errors.First)
			}
			full := shakes.Load() - resumed.Load() // the first of each connection, if that had any time at all
			if want := map[Handshakes]int64{FullHandshakes: shakes.Load(), ResumedHandshakes: min(shakes.Load(), conns)}[kind]; full > want || kind == FullHandshakes && full != want {
				t.Fatalf("%s: %d of %d were resumed", kind, resumed.Load(), shakes.Load())
			}
			return shakes.Load() > conns && full > 0
		}
		lasts := 100 * time.Millisecond
		for end := time.Now().Add(time.Minute); !run(lasts); lasts *= 2 { // others may have had all of the time
			if time.Now().After(end) {
				t.Fatalf("%s: %d handshakes in %v", kind, shakes.Load(), lasts)
			}
		}
	}
}

// TestRecordsInPieces: wherever receives cut them, records are opened, or counted.
func TestRecordsInPieces(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	server, _ := tlstest.Configs()
	server.SessionTicketsDisabled = true // Pipe has no place for what nobody reads
	var peer *tls.Conn
	done := make(chan error, 1)
	go func() { peer = tls.Server(far, server); done <- peer.Handshake() }()
	r, err := (&Config{TLS: true}).shakeRecords(near)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	const total = 90_000
	go func() {
		for sent := 0; sent < total; sent += 9_000 {
			if _, err := peer.Write(make([]byte, 9_000)); err != nil {
				return
			}
		}
	}()
	came := 0
	for i, b := 0, make([]byte, 700); came < total; i++ {
		n, err := near.Read(b[:1+i%len(b)])
		if err != nil {
			t.Fatal(err)
		}
		ok, err := r.take(b[:n], i%3 == 0, func(plain []byte) bool { came += len(plain); return true }, func(n int) bool { came += n; return true })
		if !ok || err != nil {
			t.Fatalf("after %d bytes: %t, %v", came, ok, err)
		}
	}
	if came != total {
		t.Errorf("%d bytes came of %d", came, total)
	}
}
