package kring_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"kring"
)

// What docs/migration.md shows, in pairs: Go's net, then kring. (gnet's half is in
// bench/peers/gnet.go.)

func netEcho(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:])) // what a client claims: bound it
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		if _, err := c.Write(append(size[:], frame...)); err != nil {
			return
		}
	}
}

func kringEcho(r kring.Request) {
	r.Respond(r.Payload())
}

func netCount(c net.Conn) {
	defer c.Close()
	in := bufio.NewScanner(c)
	for n := 1; in.Scan(); n++ { // n is the connection's own
		if _, err := fmt.Fprintln(c, n); err != nil {
			return
		}
	}
}

func kringCount(r kring.Request) {
	n, _ := r.Conn().Attachment().(int) // one request of a connection at a time
	r.Conn().Attach(n + 1)
	r.Respond(fmt.Append(r.Buffer(20)[:0], n+1))
}

// served runs a server on l until the test ends.
func served(t *testing.T, l net.Listener, handle func(kring.Request)) {
	t.Helper()
	server, err := kring.New(kring.Config{}, kring.HandlerFunc(handle))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-ended
	})
}

// spoken is what a client hears that says all of text and hears n bytes.
func spoken(t *testing.T, serve func(net.Listener), text string, n int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, n)
	if _, err := io.ReadFull(c, heard); err != nil {
		t.Fatal(err)
	}
	return string(heard)
}

// TestBothHalvesOfAMigrationAnswerAlike: a client notices nothing but the frames.
func TestBothHalvesOfAMigrationAnswerAlike(t *testing.T) {
	ofNet := func(serve func(net.Conn)) func(net.Listener) {
		return func(l net.Listener) {
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				if c, err := l.Accept(); err == nil {
					serve(c)
				}
			}()
		}
	}
	ofKring := func(handle func(kring.Request)) func(net.Listener) {
		return func(l net.Listener) { served(t, l, handle) }
	}
	const frames = "\x00\x00\x00\x03abc\x00\x00\x00\x00\x00\x00\x00\x01d"
	for _, serve := range []func(net.Listener){ofNet(netEcho), ofKring(kringEcho)} {
		if heard := spoken(t, serve, frames, len(frames)); heard != frames {
			t.Errorf("an echo answered %q", heard)
		}
	}
	if heard := spoken(t, ofNet(netCount), "a\nb\n", 4); heard != "1\n2\n" {
		t.Errorf("counted by net: %q", heard)
	}
	const answers = "\x00\x00\x00\x011\x00\x00\x00\x012"
	if heard := spoken(t, ofKring(kringCount), "\x00\x00\x00\x01a\x00\x00\x00\x01b", len(answers)); heard != answers {
		t.Errorf("counted by kring: %q", heard)
	}
}

// TestTheCodeOfMigrationIsCompiled: each Go block of docs/migration.md stands in this file or
// in the gnet server of the benchmark.
func TestTheCodeOfMigrationIsCompiled(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	compiled := read("migration_test.go") + read("bench/peers/gnet.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read("docs/migration.md"), -1)
	if len(blocks) < 5 {
		t.Errorf("%d Go blocks in docs/migration.md", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(compiled, b[1]) {
			t.Errorf("docs/migration.md has code that nobody compiles; put it into migration_test.go too:\n%s", b[1])
		}
	}
}
