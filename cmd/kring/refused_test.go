package main

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"kring"
	"kring/kafka"
	"kring/reqchan"
)

// refusedBy sends a payload and waits until its connection is closed.
func refusedBy(t *testing.T, addr string, payload []byte) (from string) {
	t.Helper()
	conn := dial(t, addr)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
		t.Fatalf("read %d, %v; want the connection closed", n, err)
	}
	return conn.LocalAddr().String()
}

func TestARefusedRequestIsNamedAtTheDefaultLevel(t *testing.T) {
	for _, handler := range []string{"null", "embedded"} {
		c := serve(t, "--handler", handler)
		from := refusedBy(t, c.addr, []byte("\x00\x03\x00\x01\x00\x00\x00\x01\x00\x02me\x7f\xff\xff\xff"))
		c.logged(`level=WARN .*reason=body_malformed api=Metadata api_key=3 version=1 remote=` + regexp.QuoteMeta(from) + ` .*client_id=me .*why=.*array`)
		refusedBy(t, c.addr, []byte("\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00"))
		c.logged(`reason=unsupported_version api=Produce api_key=0 version=2 `)
		refusedBy(t, c.addr, []byte("\x27\x0f\x00\x00\x00\x00\x00\x01\x00\x00"))
		c.logged(`reason=unknown_api api=Unknown api_key=9999 version=0 `)
		refusedBy(t, c.addr, []byte("\x00\x03\x00"))
		c.logged(`reason=header_malformed remote=`)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d", status)
		}
	}
}

// refuse adds n refusals for a reason, whose text is of no matter here.
func refuse(r *refusals, n int, reason kring.CloseReason) {
	c := &kring.Conn{Remote: netip.MustParseAddrPort("192.0.2.1:9")}
	for range n {
		r.add(c, kafka.Header{Key: 3, Version: 9, ClientID: []byte(strings.Repeat("x", 1000))}, &kafka.Fault{Reason: reason})
	}
}

func TestRefusalsAreLoggedOnceInAWhileAndCounted(t *testing.T) {
	var out safeBuffer
	r := newRefusals(slog.New(slog.NewTextHandler(&out, nil)), time.Hour)
	refuse(r, 1, reqchan.BodyMalformed)
	if !out.await(regexp.MustCompile(`reason=body_malformed`)) {
		t.Fatal("the first is not logged at once")
	}
	refuse(r, 1000, reqchan.BodyMalformed)
	refuse(r, 1, reqchan.UnknownAPI)
	if !out.await(regexp.MustCompile(`reason=unknown_api`)) {
		t.Fatal("the first of another kind is not logged at once")
	}
	r.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[2], "requests=1000") || len(lines[2]) > 500 {
		t.Errorf("logged:\n%s", out.String())
	}
}

func TestWhatWasRefusedInBetweenIsLoggedByItself(t *testing.T) {
	var out safeBuffer
	r := newRefusals(slog.New(slog.NewTextHandler(&out, nil)), 10*time.Millisecond)
	defer r.end()
	refuse(r, 1, reqchan.BodyMalformed)
	out.await(regexp.MustCompile(`reason=body_malformed`))
	refuse(r, 2, reqchan.BodyMalformed)
	// Both in one line, or each in its own if the time was over in between.
	if !out.await(regexp.MustCompile(`requests=2|(?s:(reason=.*){3})`)) {
		t.Error("they are never logged")
	}
}

// A log that nobody reads holds up nobody.
func TestRefusingDoesNotWaitForTheLog(t *testing.T) {
	full, emptied := make(chan struct{}, 3), make(chan struct{})
	r := newRefusals(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		full <- struct{}{}
		<-emptied
		return len(p), nil
	}), nil)), time.Hour)
	refuse(r, 1, reqchan.BodyMalformed)
	<-full
	refuse(r, 100_000, reqchan.BodyMalformed) // would hang
	refuse(r, 1, reqchan.UnknownAPI)
	close(emptied)
	r.end()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What is no request of Kafka's at all is named, too: TLS on a port without it, HTTP,
// and sizes that nobody sends.
func TestWhatIsNoRequestIsNamedAtTheDefaultLevel(t *testing.T) {
	for _, handler := range []string{"embedded", "null", "echo"} {
		c := serve(t, "--handler", handler)
		for _, bytes := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/1.1\r\n\r\n"} {
			conn := dial(t, c.addr)
			if _, err := conn.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
				t.Fatal(err)
			}
		}
		c.logged(`level=WARN msg="a request was refused and its connection closed" reason=tls_on_plaintext remote=.*the client speaks TLS`)
		c.logged(`reason=http_request remote=.*the client speaks HTTP`)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d", status)
		}
	}
}
