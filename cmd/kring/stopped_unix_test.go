//go:build unix

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// sendFrame writes a frame of n bytes.
func sendFrame(conn net.Conn, n int) error {
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(n)), bytes.Repeat([]byte{'x'}, n)...))
	return err
}

// echoed reads the answer of a frame of n bytes.
func echoed(conn net.Conn, n int) error {
	_ = conn.SetReadDeadline(time.Now().Add(deadline))
	_, err := io.ReadFull(conn, make([]byte, 4+n))
	return err
}

// A process that was stopped (docker pause, a snapshot) for longer than its timeouts
// serves what came meanwhile, and sends on what was half sent.
func TestAProcessThatWasStoppedClosesNobodyForIt(t *testing.T) {
	const silent, half = 300, 4 // more are silent than an engine lends receive buffers (256)
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel() // mostly it waits
			c := serve(t, "--handler", "echo", "--engine", engine, "--idle-timeout", "18s", "--write-timeout", "18s")
			var conns, large []net.Conn
			speak := func() { // nobody is idle for long, however slowly the others connect
				t.Helper()
				for _, conn := range conns {
					if err := sendFrame(conn, 10); err != nil {
						t.Fatal(err)
					}
				}
				for _, conn := range conns {
					if err := echoed(conn, 10); err != nil {
						t.Fatal("not served before the stop: ", err)
					}
				}
			}
			for i := range silent {
				conns = append(conns, dial(t, c.addr))
				if i%30 == 0 {
					speak()
				}
			}
			for range half {
				conn := dial(t, c.addr)
				go func() { _ = sendFrame(conn, 8<<20) }()
				if _, err := io.ReadFull(conn, make([]byte, 4+1)); err != nil {
					t.Fatal(err)
				}
				large = append(large, conn)
			}
			speak()
			c.signal(syscall.SIGSTOP)
			for _, conn := range conns {
				if err := sendFrame(conn, 100); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(19 * time.Second) // longer than the timeouts: there is nothing to wait for in a stopped process
			c.signal(syscall.SIGCONT)
			rest := make(chan error, half) // each is read from now on: who reads nothing is closed, rightly
			for _, conn := range large {
				go func() { rest <- echoed(conn, 8<<20-1-4) }()
			}
			lost := 0
			for _, conn := range conns {
				if echoed(conn, 100) != nil {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%d of %d requests that came meanwhile were not answered", lost, silent)
			}
			for range large {
				if err := <-rest; err != nil {
					t.Errorf("an answer that was half sent: %v", err)
				}
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}
