package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// fullPipe gives a pipe that nobody reads and that takes nothing any more.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for page := make([]byte, 4096); len(page) > 0; {
		if _, err := unix.Write(ends[1], page); err == unix.EAGAIN {
			page = page[:len(page)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(ends[0]), "full pipe"), os.NewFile(uintptr(ends[1]), "full pipe")
	t.Cleanup(func() {
		_ = r.Close()
		_ = w.Close()
	})
	return r, w
}

// startMute is start in a cage with a standard error that takes nothing.
func startMute(t *testing.T, cage string, args ...string) (c *child, stderr *os.File) {
	t.Helper()
	r, w := fullPipe(t)
	c = startCaged(t, cage, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	c.cmd.Stderr = w
	m := readyForm.FindStringSubmatch(<-c.lines())
	if m == nil {
		t.Fatal("no ready line")
	}
	c.addr = m[1]
	return c, r
}

// wantStopped is that the child ends by itself.
func (c *child) wantStopped(status int) {
	c.t.Helper()
	began := time.Now()
	if got := c.exit(); got != status {
		c.t.Errorf("exit status %d, want %d", got, status)
	}
	if took := time.Since(began); took > deadline/2 {
		c.t.Errorf("it took %v", took)
	}
}

// TestAServerWhoseLogNobodyReadsServesAndStops: with standard error a full pipe the
// embedded cluster works, at debug level too, and both signals do what they do.
func TestAServerWhoseLogNobodyReadsServesAndStops(t *testing.T) {
	for _, engine := range enginesHere() {
		c, _ := startMute(t, "nofile=256", "--engine", engine, "--log-level", "debug", "--data-dir", t.TempDir())
		for i := range 50 { // each has the cluster log, and a line of its own
			m := kmsg.NewPtrMetadataRequest()
			m.Version, m.AllowAutoTopicCreation = 8, true
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr("t" + strconv.Itoa(i))
			m.Topics = append(m.Topics, topic)
			conn := dial(t, c.addr)
			ask(t, conn, m)
			_ = conn.Close()
		}
		c.signal(syscall.SIGUSR1)
		ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
		c.signal(syscall.SIGTERM)
		c.wantStopped(exitOK)
	}
	c, _ := startMute(t, "nofile=256", "--handler", "echo", "--drain-timeout", "10m")
	untaken(t, c.addr)
	c.signal(syscall.SIGTERM)
	refusedSoon(t, c.addr)
	defer c.insist(syscall.SIGTERM)()
	c.wantStopped(exitFailure)
}

// refusedSoon waits until nobody listens any more: the first signal was taken.
func refusedSoon(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
		if time.Now().After(end) {
			t.Fatal("the signal was not taken")
		}
	}
}

// TestAcceptingGoesOnWithoutDescriptorsThoughNobodyReadsTheLog: a line is logged
// when descriptors have run out, by the goroutine that accepts.
func TestAcceptingGoesOnWithoutDescriptorsThoughNobodyReadsTheLog(t *testing.T) {
	for _, engine := range enginesHere() {
		c, stderr := startMute(t, "nofile=64", "--engine", engine, "--handler", "null", "--max-connections=-1")
		for range 3 { // the second line about it comes a second later
			conns := untilClosed(t, c.addr)
			for _, conn := range conns {
				_ = conn.Close()
			}
			servedSoon(t, c.addr)
		}
		c.signal(syscall.SIGTERM)
		go func() { _, _ = io.Copy(io.Discard, stderr) }() // and what was kept back is written
		c.wantStopped(exitOK)
	}
}

// untilClosed connects until the server closes one unserved.
func untilClosed(t *testing.T, addr string) (conns []net.Conn) {
	t.Helper()
	for range 128 {
		conn := dial(t, addr)
		conns = append(conns, conn)
		if !answered(conn) {
			return conns
		}
	}
	t.Fatal("128 connections with 64 descriptors")
	return nil
}

// servedSoon connects until it is served: descriptors are given back soon.
func servedSoon(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(deadline); !answered(dial(t, addr)); {
		if time.Now().After(end) {
			t.Fatal("nobody is served, with descriptors again")
		}
	}
}

// answered asks for the versions, and says whether they came.
func answered(conn net.Conn) bool {
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)); err != nil {
		return false
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:])))
	return err == nil
}

// TestAReadyLineThatNobodyReadsHoldsNothingUp.
func TestAReadyLineThatNobodyReadsHoldsNothingUp(t *testing.T) {
	_, stdout := fullPipe(t)
	path := "unix:@kring-blocked-" + strconv.Itoa(os.Getpid())
	c := start(t, "serve", "--listen", path, "--handler", "echo")
	c.cmd.Stdout = stdout
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.cmd.Process.Kill() }()
	var err error
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		var conn net.Conn
		if conn, err = net.Dial("unix", path[len("unix:"):]); err == nil {
			_ = conn.Close()
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c.signal(syscall.SIGTERM)
	over := make(chan error, 1)
	go func() { over <- c.cmd.Wait() }()
	select {
	case err := <-over:
		if err != nil {
			t.Errorf("%v; standard error:\n%s", err, c.stderr.String())
		}
	case <-time.After(deadline):
		t.Fatalf("did not end; standard error:\n%s", c.stderr.String())
	}
}

// TestAServerOutlivesWhoeverReadsItsLog: the other end of standard error is closed.
func TestAServerOutlivesWhoeverReadsItsLog(t *testing.T) {
	c, stderr := startMute(t, "nofile=256", "--log-level", "debug", "--handler", "null")
	_ = stderr.Close()
	for range 3 {
		c.signal(syscall.SIGUSR1)
		conn := dial(t, c.addr)
		ask(t, conn, kmsg.NewPtrApiVersionsRequest())
		_ = conn.Close()
	}
	c.signal(syscall.SIGTERM)
	c.wantStopped(exitOK)
}
