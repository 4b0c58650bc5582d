package contract

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"kring"
	"kring/internal/proxyproto/proxytest"
	"kring/internal/servertest"
	"kring/reqchan"
)

// behind writes its header together with the first bytes that are written.
type behind struct {
	net.Conn
	header []byte
}

func (b *behind) Write(p []byte) (int, error) {
	n := len(b.header)
	all := slices.Concat(b.header, p)
	b.header = nil
	w, err := b.Conn.Write(all)
	return max(w-n, 0), err
}

// The header comes before TLS: in one piece with the client's first record, or long before
// it. The handler sees the client, and the handshake is for it.
//
// Kafka: U-5.
func TestAHeaderComesBeforeTLS(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, _, client *tls.Config) {
		s := servertest.Start(t, trusting(cfg), &whose{})
		payload := strings.Repeat("p", 70_000)
		for _, together := range []bool{true, false} {
			raw := servertest.Dial(t, s)
			wire := &behind{Conn: raw.Conn}
			for _, b := range proxytest.V2(forwardedClient, forwardedTo, proxytest.TLV(0x02, "kafka.example")) {
				if wire.header = append(wire.header, b); !together {
					if _, err := wire.Write(nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := tls.Client(wire, client)
			if _, err := c.Write(slices.Concat(servertest.Frame([]byte("who")), servertest.Frame([]byte(payload)))); err != nil {
				t.Fatal(err)
			}
			if got, err := servertest.ReadFrame(c); err != nil || !strings.HasPrefix(string(got), forwardedClient+" to "+forwardedTo+" by 127.0.0.1") {
				t.Errorf("together %t: %q, %v", together, got, err)
			}
			if got, err := servertest.ReadFrame(c); err != nil || string(got) != payload {
				t.Errorf("together %t: %d bytes, %v", together, len(got), err)
			}
		}
		bare := servertest.Dial(t, s)
		_ = tls.Client(bare.Conn, client).Handshake() // its error is the close
		stranger := dialFrom(t, "127.0.0.2", s, 0)
		c := tls.Client(stranger.Conn, client)
		if _, err := c.Write(servertest.Frame([]byte("no header"))); err != nil {
			t.Fatal(err)
		}
		if got, err := servertest.ReadFrame(c); err != nil || string(got) != "no header" {
			t.Errorf("without a header: %q, %v", got, err)
		}
		closedFor(t, s, reqchan.ProxyHeaderMissing, 1)
	})
}
