package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/leaktest"
	"kring/uring"
)

func TestReadyLineSaysWhereHowAndWhy(t *testing.T) {
	for _, engine := range enginesHere() {
		for _, args := range [][]string{
			{"--handler", "embedded", "--dispatch", "pool", "--handlers", "3"},
			{"--handler", "null", "--dispatch", "inline"},
			{"--handler", "echo", "--wait", "parked", "--listen", "127.0.0.1:0"},
		} {
			t.Run(engine+" "+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				c := serve(t, append([]string{"--engine", engine}, args...)...)
				if !strings.Contains(c.ready, " · "+engine+" (") || !strings.HasSuffix(c.ready, "handler "+handlerSays[args[1]]) {
					t.Errorf("ready line %q", c.ready)
				}
				c.signal(syscall.SIGTERM)
				if status := c.exit(); status != exitOK {
					t.Errorf("exit status %d after SIGTERM, want 0; standard error:\n%s", status, c.stderr.String())
				}
				c.logged(`level=INFO msg=stopped connections=0`)
			})
		}
	}
}

func TestEachListenAddressIsServed(t *testing.T) {
	c := serve(t, "--handler", "echo", "--listen", "127.0.0.1:0")
	addrs := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindAllString(c.ready, -1)
	if len(addrs) != 2 || addrs[0] == addrs[1] {
		t.Fatalf("addresses %q in %q, want two", addrs, c.ready)
	}
	for _, addr := range addrs {
		echoes(t, addr)
	}
	c.signal(os.Interrupt)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d after SIGINT, want 0", status)
	}
	c.logged(`msg=stopped connections=2 .*requests=2 responses=2`)
}

func TestClosedConnectionsAreLoggedWithTheirReason(t *testing.T) {
	c := serve(t, "--handler", "null", "--log-level", "debug", "--log-format", "json")
	conn := dial(t, c.addr)
	if _, err := conn.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
		t.Fatalf("read %d, %v; want the connection closed", n, err)
	}
	c.logged(`"msg":"connection closed".*"remote":"` + conn.LocalAddr().String() + `","reason":"frame_size_negative"`)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
	c.logged(`"msg":"stopped".*"closed":\{"frame_size_negative":1\}`)
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	c := serve(t, "--handler", "echo", "--drain-timeout", "10m")
	untaken(t, c.addr)
	c.signal(syscall.SIGTERM)
	c.logged(`msg="stopping: no new connections`)
	defer c.insist(syscall.SIGTERM)()
	if status := c.exit(); status != exitFailure {
		t.Errorf("exit status %d after a second signal, want 1", status)
	}
	c.logged(`a second signal came`)
}

// insist sends a signal again and again until stop is called: the first repetitions
// may be too early to count.
func (c *child) insist(s os.Signal) (stop func()) {
	done := make(chan struct{})
	go func() {
		again := time.NewTicker(signalRepeat / 2)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				_ = c.cmd.Process.Signal(s) // it may have ended
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// timeout(1) sends its signal to the process and to its group, so it comes twice.
func TestASignalThatComesTwiceAtOnceDrains(t *testing.T) {
	for {
		c := serve(t, "--handler", "echo", "--drain-timeout", "300ms")
		untaken(t, c.addr)
		first := time.Now()
		c.signal(syscall.SIGTERM)
		c.signal(syscall.SIGTERM)
		apart := time.Since(first)
		status := c.exit()
		if status != exitOK && apart > signalRepeat/2 { // the machine kept this process from sending them at once
			t.Logf("tried again: the signals were %v apart", apart)
			continue
		}
		if status != exitOK {
			t.Errorf("exit status %d, want 0", status)
		}
		c.logged(`--drain-timeout passed`)
		return
	}
}

// TestARepetitionOfASignalIsNoneOfItsOwnHoweverLateItIsSeen: a busy machine kept the program from
// looking at it until its time was over, and it was taken for the second one, which cuts off.
func TestARepetitionOfASignalIsNoneOfItsOwnHoweverLateItIsSeen(t *testing.T) {
	signals, drained := make(chan os.Signal, 2), make(chan error)
	for range cap(signals) {
		signals <- syscall.SIGTERM
	}
	seen := make(chan os.Signal, 1)
	go func() {
		s, _ := afterRepeats(process{signals: signals}, slog.New(slog.DiscardHandler), nil, drained, 0)
		seen <- s
	}()
	until(t, "the repetitions are taken", func() bool { return len(signals) == 0 })
	select {
	case drained <- nil:
	case s := <-seen:
		t.Fatalf("it ends at once, by %v", s)
	}
	if s := <-seen; s != nil {
		t.Errorf("it ends by %v", s)
	}
}

func TestDrainTimeoutCutsOffWhatIsLeft(t *testing.T) {
	c := serve(t, "--handler", "echo", "--drain-timeout", "100ms")
	conn := untaken(t, c.addr)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
	c.logged(`--drain-timeout passed`)
	if n, _ := io.Copy(io.Discard, conn); n == untakenBytes {
		t.Error("the connection was not cut off")
	}
}

// untakenBytes is more than the sockets between a client and the server hold.
const untakenBytes = 64 << 20

// untaken leaves a response of untakenBytes in the server, that its client does
// not take, but for the first bytes.
func untaken(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn := dial(t, addr)
	size := binary.BigEndian.AppendUint32(nil, untakenBytes)
	if _, err := conn.Write(append(size, make([]byte, untakenBytes)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, size); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestTakenAddressIsAFailureWithARemedy(t *testing.T) {
	first := serve(t)
	second := start(t, "serve", "--listen", first.addr)
	if line := <-second.lines(); line != "" {
		t.Errorf("ready line %q on a taken address", line)
	}
	if status := second.exit(); status != exitFailure {
		t.Errorf("exit status %d, want 1", status)
	}
	second.logged(`kring: error: listener .*in use: choose another --listen address`) // kring's name once
}

func TestUsedDataDirIsAFailureWithARemedy(t *testing.T) {
	dir := t.TempDir()
	serve(t, "--data-dir", dir)
	second := start(t, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	if line := <-second.lines(); line != "" {
		t.Errorf("ready line %q on a used directory", line)
	}
	if status := second.exit(); status != exitFailure {
		t.Errorf("exit status %d, want 1", status)
	}
	second.logged(`kring: error: .*another process uses this directory`)
}

func TestProgramLeavesNoGoroutine(t *testing.T) {
	defer leaktest.Begin()(t)
	signals := make(chan os.Signal, 2)
	stdout, ready := io.Pipe()
	var stderr safeBuffer
	status := make(chan int, 1)
	env := []string{"KRING_LISTEN=127.0.0.1:0", "KRING_SEED_TOPIC=a:1,b:2", "KRING_DATA_DIR=" + t.TempDir()}
	go func() { status <- run([]string{"serve"}, env, ready, &stderr, signals) }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	m := readyForm.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
	if m == nil {
		t.Fatalf("ready line %q", line)
	}
	conn := longPoll(t, m[1]).(*net.TCPConn)
	if err := conn.SetLinger(0); err != nil { // Close resets: the fetch does not hold up the end
		t.Fatal(err)
	}
	_ = conn.Close()
	signals <- syscall.SIGTERM
	if s := <-status; s != exitOK {
		t.Errorf("exit status %d, want 0; standard error:\n%s", s, stderr.String())
	}
}

// dial opens a connection on which nothing waits for ever.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// longPoll leaves a fetch waiting in the server for longer than any test.
func longPoll(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn := dial(t, addr)
	m := kmsg.NewPtrMetadataRequest()
	m.Version, m.AllowAutoTopicCreation = 8, true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("quiet")
	m.Topics = append(m.Topics, topic)
	ask(t, conn, m)

	f := kmsg.NewPtrFetchRequest()
	f.Version, f.MaxWaitMillis, f.MinBytes = 4, 600_000, 1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = "quiet"
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	ft.Partitions = append(ft.Partitions, p)
	f.Topics = append(f.Topics, ft)
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, f, 2)); err != nil {
		t.Fatal(err)
	}
	ask(t, dial(t, addr), m) // most probably the fetch is in the cluster then
	return conn
}

func ask(t *testing.T, conn net.Conn, req kmsg.Request) {
	t.Helper()
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	response(t, conn)
}

// response reads one.
func response(t *testing.T, conn net.Conn) {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
		t.Fatal(err)
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

func TestEveryKernelProfileServesFromTheCommandLine(t *testing.T) {
	if !slices.Contains(enginesHere(), "io_uring") {
		return // another system
	}
	for _, profile := range uring.KernelProfiles() {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			c := serve(t, "--engine", "io_uring", "--kernel-profile", profile, "--handler", "echo")
			if profile != "max" && !strings.Contains(c.ready, "as on Linux "+profile) {
				t.Errorf("ready line %q does not name the profile", c.ready)
			}
			echoes(t, c.addr)
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

func TestIOURingSettingsServeFromTheCommandLine(t *testing.T) {
	if !slices.Contains(enginesHere(), "io_uring") {
		return // another system
	}
	c := serve(t, "--engine", "io_uring", "--wait", "locked", "--handler", "echo", "--uring", "recv=single", "--uring", "min-wait=20us,restrict=on")
	for _, says := range []string{"recv=single", "min-wait=20µs", "restrict=on"} {
		if !strings.Contains(c.ready, says) {
			t.Errorf("ready line %q does not say %s", c.ready, says)
		}
	}
	echoes(t, c.addr)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}

// TestWrongIOURingSettingsAreRefusedBeforeTheListenerOpens, with their reasons.
func TestWrongIOURingSettingsAreRefusedBeforeTheListenerOpens(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--uring", "entries=0x"}, "whole number"},
		{[]string{"--uring", "entries"}, "KEY=VALUE"},
		{[]string{"--uring", "turbo=on"}, "there is no setting"},
		{[]string{"--uring", "buffers=32768", "--uring", "buffer-bytes=1048576"}, "--uring buffers is 32768, times buffer-bytes, 1048576, more than 1 GiB"},
		{[]string{"--uring", "recv=single", "--engine", "epoll"}, "leave one of the two out"},
		{[]string{"--kernel-profile", "6.1", "--engine", "portable"}, "leave one of the two out"},
		{[]string{"--kernel-profile", "6.2"}, "5.19, 6.0, 6.1"},
		{[]string{"--uring", "min-wait=20us", "--wait", "parked"}, "wait locked"},
		{[]string{"--uring", "defer-taskrun=on", "--uring", "single-issuer=off", "--wait", "locked"}, "single issuer"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, c.args...), nil, &stdout, &stderr, nil)
		if status != exitUsage || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: exit status %d, want 2, saying %q:\n%s", c.args, status, c.says, stderr.String())
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	var stdout, stderr bytes.Buffer
	status := run([]string{"serve", "--engine", "io_uring", "--listen", "127.0.0.1:0", "--handler", "echo"},
		[]string{"KRING_KERNEL_PROFILE=5.15"}, &stdout, &stderr, nil)
	if status != exitFailure || !strings.Contains(stderr.String(), "5.19") {
		t.Errorf("a kernel below the baseline: exit status %d, %s", status, stderr.String())
	}
}

// echoes wants a frame back.
func echoes(t *testing.T, addr string) {
	t.Helper()
	conn := dial(t, addr)
	frame := append([]byte{0, 0, 0, 5}, "hello"...)
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, frame) {
		t.Fatalf("%s: echo %q, %v", addr, got, err)
	}
}
