package contract

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// Requests that came in one record with a throttled one are served when the throttle ends,
// and those that came with one that is in flight when that is answered: no byte comes from
// the peer any more, and none is needed.
//
// Kafka: SslSelectorTest (testBytesBufferedChannelAfterMute), F-78.
func TestWhatWasOpenedBeforeAMuteIsServedAfterIt(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		var throttle atomic.Int64 // a slow machine is over with a short one before the answer is there: then it is none
		throttle.Store(int64(5 * time.Millisecond))
		h, handled := counting(func(r kring.Request, n int64) {
			if n%5 == 1 {
				r.Throttle(time.Duration(throttle.Load()))
			}
			r.Respond(r.Payload())
		})
		s := servertest.Start(t, cfg, h)
		for s.Stats().Total.Throttles == 0 && throttle.Load() < int64(servertest.Deadline) {
			throttle.Store(2 * throttle.Load())
			opened(t, servertest.DialTLS(t, s, client), func() {
				if n := handled.Load() % 5; n != 4 {
					t.Errorf("%d requests handled", n)
				}
			})
		}
		if n := s.Stats().Total.Throttles; n != 1 {
			t.Errorf("%d throttles", n)
		}
	})
}

// opened sends four requests in one record with the beginning of a fifth, and that one's rest
// when the four are answered, after it called between.
func opened(t *testing.T, c *servertest.Client, between func()) {
	t.Helper()
	all := []string{"one", "two", "three", "four"}
	var record []byte
	for _, payload := range all {
		record = append(record, servertest.Frame([]byte(payload))...)
	}
	last := servertest.Frame([]byte("the beginning of another"))
	if _, err := c.Write(append(record, last[:9]...)); err != nil {
		t.Fatal(err)
	}
	for _, want := range all {
		if got := c.Receive(); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	between()
	if _, err := c.Write(last[9:]); err != nil {
		t.Fatal(err)
	}
	if got := c.Receive(); got != "the beginning of another" {
		t.Errorf("answer %q to what was begun in the record", got)
	}
}

// While one request holds the memory for requests, others stay where they are, opened or
// not, and are served when it is given back.
//
// Kafka: SslSelectorTest (testMuteOnOOM), SE-25, Q-7.
func TestARequestOverTLSWaitsForTheBytesThatAnotherHolds(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const payload = 600 << 10
		server, client := servertest.TLS()
		cfg = servertest.Secure(cfg, server)
		cfg.Processors.Count, cfg.Limits.FrameBytesMax = 1, payload
		cfg.Memory.RequestBytesMax = payload + 200<<10
		held := make(chan kring.Request, 3)
		s := servertest.Start(t, cfg, holding(held))
		var clients []*servertest.Client
		for range 3 {
			c := servertest.DialTLS(t, s, client)
			if err := c.Conn.(*tls.Conn).Handshake(); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		for _, c := range clients {
			go func() { _, _ = c.Write(servertest.Frame(make([]byte, payload))) }()
		}
		for range clients {
			r := <-held
			if st := s.Stats(); st.RequestBytes > cfg.Memory.RequestBytesMax {
				t.Errorf("%d request bytes, %d allowed", st.RequestBytes, cfg.Memory.RequestBytesMax)
			}
			select {
			case <-held:
				t.Fatal("two were received at once")
			default:
			}
			r.Respond([]byte("done"))
		}
		for _, c := range clients {
			if got := c.Receive(); got != "done" {
				t.Errorf("answer %q", got)
			}
		}
	})
}

// The program may choose the certificate of each connection, and have its key elsewhere, as
// in a hardware module: crypto/tls's own ways work behind TLSConfig.Config. A key that fails
// refuses the one connection.
//
// Kafka: SslSelectorTest (testConnectionWithCustomKeyManager), F-74.
func TestCertificatesAndKeysMayBeTheProgramsOwn(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, server, client *tls.Config) {
		chosen := server.Certificates[0]
		key := &remoteKey{Signer: chosen.PrivateKey.(crypto.Signer)}
		chosen.PrivateKey = key
		own := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName != "localhost" {
				return nil, errors.New("nobody has that name here")
			}
			return &chosen, nil
		}}
		s := servertest.Start(t, servertest.Secure(cfg, own), servertest.Echo)
		servertest.DialTLS(t, s, client).Ask("hello", "hello")
		if key.signed.Load() != 1 {
			t.Errorf("the program's key signed %d times", key.signed.Load())
		}
		key.broken.Store(true)
		if err := servertest.DialTLS(t, s, client).Conn.(*tls.Conn).Handshake(); err == nil {
			t.Error("a handshake without a signature")
		}
		key.broken.Store(false)
		servertest.DialTLS(t, s, client).Ask("again", "again")
	})
}

// remoteKey is a key that signs elsewhere, or can't.
type remoteKey struct {
	crypto.Signer
	signed atomic.Int64
	broken atomic.Bool
}

func (k *remoteKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.broken.Load() {
		return nil, errors.New("the module with the key is gone")
	}
	k.signed.Add(1)
	return k.Signer.Sign(random, digest, opts)
}
