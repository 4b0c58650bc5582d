//go:build unix

package main

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAListenerLetsTheAccountsOfItsConfigurationIn without a users file, and nobody else; no
// password is in the log.
func TestAListenerLetsTheAccountsOfItsConfigurationIn(t *testing.T) {
	c := serveConfig(t, "listeners=SASL_PLAINTEXT://127.0.0.1:0\nsasl.enabled.mechanisms=PLAIN\nconnection.failed.authentication.delay.ms=0\n"+
		"listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"hunter2\";\n",
		"--handler", "null", "--log-level", "debug")
	for password, code := range map[string]int16{"hunter2": 0, "hunter3": 58} {
		conn := dial(t, c.addr)
		handshake := kmsg.NewPtrSASLHandshakeRequest()
		handshake.Version, handshake.Mechanism = 1, "PLAIN"
		ask(t, conn, handshake)
		token := kmsg.NewPtrSASLAuthenticateRequest()
		token.Version, token.SASLAuthBytes = 1, []byte("\x00alice\x00"+password)
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, token, 1)); err != nil {
			t.Fatal(err)
		}
		var head [10]byte // size, correlation id, error code
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		if got := int16(binary.BigEndian.Uint16(head[8:])); got != code {
			t.Errorf("%s: error %d, want %d", password, got, code)
		}
	}
	c.stop()
	if log := c.stderr.String(); strings.Contains(log, "hunter") {
		t.Errorf("a password is in the log:\n%s", log)
	}
}
