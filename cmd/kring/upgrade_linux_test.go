package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sized is how much of something a test does; scripts/upgrade.sh asks for more.
func sized(variable string, most int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return most
}

// clients do something over and over until they are told to stop. Kafka's clients connect
// again when they are closed, and repeat what was not answered; nothing else may fail.
type clients struct {
	stop   atomic.Bool
	done   atomic.Int64
	all    sync.WaitGroup
	failed atomic.Pointer[error]
}

// pace is the time between two: as short as can be under the load of scripts/upgrade.sh.
func pace() time.Duration {
	if os.Getenv("UPGRADES") != "" {
		return time.Microsecond
	}
	return 2 * time.Millisecond
}

// always has n clients do what make gives, as often as they can.
func always(t *testing.T, n int, make func(i int) (do func() error, end func())) *clients {
	c := &clients{}
	for i := range n {
		do, end := make(i)
		c.all.Go(func() {
			defer end()
			tick := time.NewTicker(pace())
			defer tick.Stop()
			for !c.stop.Load() {
				<-tick.C
				if err := do(); err != nil {
					c.failed.CompareAndSwap(nil, &err)
					return
				}
				c.done.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		c.stop.Store(true)
		c.all.Wait()
	})
	return c
}

// more waits until they have done n times more, and each of them may have.
func (c *clients) more(t *testing.T, n int64) {
	t.Helper()
	goal := c.done.Load() + n
	until(t, fmt.Sprintf("clients have done %d", goal), func() bool {
		c.mustNotHaveFailed(t)
		return c.done.Load() >= goal
	})
}

func (c *clients) mustNotHaveFailed(t *testing.T) {
	t.Helper()
	if err := c.failed.Load(); err != nil {
		t.Fatal(*err)
	}
}

func (c *clients) end(t *testing.T) {
	t.Helper()
	c.stop.Store(true)
	c.all.Wait()
	c.mustNotHaveFailed(t)
}

// produceAlways has clients write records.
func produceAlways(t *testing.T, n int, address string) *clients {
	t.Helper()
	return always(t, n, func(i int) (do func() error, end func()) {
		client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("upgraded"), kgo.AllowAutoTopicCreation(),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(deadline))
		if err != nil {
			t.Fatal(err)
		}
		return func() error {
			return client.ProduceSync(context.Background(), &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr()
		}, client.Close
	})
}

// connectAlways has clients ask on connections: on a new one each time, or on the same one
// until the server closes it. Nobody may refuse a connection.
func connectAlways(t *testing.T, n int, address string, anew bool) *clients {
	question := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)
	return always(t, n, func(int) (do func() error, end func()) {
		var conn net.Conn
		hangUp := func() {
			if conn != nil {
				_ = conn.Close()
				conn = nil
			}
		}
		return func() (err error) {
			if conn == nil {
				if conn, err = net.Dial("tcp", address); err != nil {
					return fmt.Errorf("refused: %w", err)
				}
				_ = conn.SetDeadline(time.Now().Add(2 * deadline))
			}
			if _, err = conn.Write(question); err == nil {
				err = readAnswer(conn)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			if err != nil || anew { // else it is asked again, on another connection
				hangUp()
			}
			return nil
		}, hangUp
	})
}

func readAnswer(conn net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:])))
	return err
}

// TestAnUpgradeOfTheProgramRefusesNobody: with a data directory, whose records are all there
// afterwards, on each engine; the HTTP side door and the addresses stay.
func TestAnUpgradeOfTheProgramRefusesNobody(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			dir := shortDir(t)
			door := "unix:" + filepath.Join(dir, "http")
			args := []string{"--engine", engine, "--data-dir", filepath.Join(dir, "data"), "--upgrade-socket", filepath.Join(dir, "up"), "--http", door}
			c := serve(t, args...)
			p := produceAlways(t, sized("CLIENTS", 4), c.addr)
			in := connectAlways(t, 2, c.addr, true)
			for range sized("UPGRADES", 2) {
				p.more(t, 20)
				in.more(t, 20)
				next := serve(t, args...)
				if status := c.exit(); status != exitOK {
					t.Fatalf("the one before: status %d, standard error:\n%s", status, c.stderr.String())
				}
				if next.addr != c.addr {
					t.Fatalf("it serves at %s, and the one before at %s", next.addr, c.addr)
				}
				wantStatus(t, door, "/readyz", http.StatusOK)
				c = next
			}
			p.more(t, 20)
			p.end(t)
			in.end(t)
			t.Logf("%d records, %d connections", p.done.Load(), in.done.Load())
			if n := endOffset(t, c.addr, "upgraded"); n < p.done.Load() {
				t.Errorf("%d records are there, and %d were acknowledged", n, p.done.Load())
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("status %d, standard error:\n%s", status, c.stderr.String())
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "[hu]*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// wantStatus asks the side door.
func wantStatus(t *testing.T, door, path string, want int) {
	t.Helper()
	client := http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(door, "unix:"))
	}}}
	answer, err := client.Get("http://kring" + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != want {
		t.Errorf("%s is answered by %s", path, answer.Status)
	}
}

// endOffset is how many records a partition has had.
func endOffset(t *testing.T, address, topic string) int64 {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Timestamp = -1
	of.Partitions = append(of.Partitions, partition)
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = -1, append(req.Topics, of)
	answer, err := req.RequestWith(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Topics[0].Partitions[0].Offset
}

// TestAProcessThatCantTakeOverLeavesTheOneThatServes: a wrong setting, a listener that can't
// be opened, a data directory that can't; it names the reason, and the records stay.
func TestAProcessThatCantTakeOverLeavesTheOneThatServes(t *testing.T) {
	dir := shortDir(t)
	taken := listenTCP(t)
	args := []string{"--data-dir", filepath.Join(dir, "data"), "--upgrade-socket", filepath.Join(dir, "up")}
	c := serve(t, args...)
	p := produceAlways(t, 2, c.addr)
	other := filepath.Join(dir, "other") // in use by a process: this one
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(other, ".kring.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, of := range []struct {
		more   []string
		status int
		says   string
	}{
		{[]string{"--partitions", "0"}, exitUsage, "--partitions"},
		{[]string{"--listen", "MORE://" + taken.Addr().String()}, exitFailure, "in use"},
		{[]string{"--data-dir", other}, exitFailure, "another process uses this directory"},
		{[]string{"--accept", "per-processor"}, exitFailure, "--accept"},
	} {
		p.more(t, 5)
		next := start(t, append(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), of.more...)...)
		<-next.lines()
		if status := next.exit(); status != of.status || !strings.Contains(next.stderr.String(), of.says) {
			t.Errorf("%v: status %d, standard error:\n%s", of.more, status, next.stderr.String())
		}
		p.more(t, 5)
	}
	p.end(t)
	if n := endOffset(t, c.addr, "upgraded"); n < p.done.Load() {
		t.Errorf("%d records are there, and %d were acknowledged", n, p.done.Load())
	}
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("status %d, standard error:\n%s", status, c.stderr.String())
	}
}

// TestThreeUpgradesInARowRefuseNobody: each begins while the ones before still drain, with
// clients that never leave by themselves.
func TestThreeUpgradesInARowRefuseNobody(t *testing.T) {
	engines := enginesHere()
	if os.Getenv("UPGRADES") == "" {
		engines = engines[:1] // internal/contract has all of them
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			args := []string{"--engine", engine, "--handler", "null", "--upgrade-socket", filepath.Join(shortDir(t), "up"), "--http", "127.0.0.1:0"}
			all := []*child{serve(t, args...)}
			stay, in := connectAlways(t, sized("CLIENTS", 8), all[0].addr, false), connectAlways(t, 2, all[0].addr, true)
			for range 3 {
				stay.more(t, 20)
				in.more(t, 20)
				all = append(all, serve(t, args...))
			}
			for _, c := range all[:3] {
				if status := c.exit(); status != exitOK {
					t.Errorf("status %d, standard error:\n%s", status, c.stderr.String())
				}
			}
			stay.more(t, 100)
			in.more(t, 20)
			stay.end(t)
			in.end(t)
			t.Logf("%d answers, %d connections", stay.done.Load(), in.done.Load())
		})
	}
}

// TestSIGUSR2StartsTheProcessThatTakesOver, and the service manager is told which it is.
func TestSIGUSR2StartsTheProcessThatTakesOver(t *testing.T) {
	dir := shortDir(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	tcp := listenTCP(t)
	c := activated(t, "KAFKA", []*os.File{filed(t, tcp)}, "serve", "--handler", "null", "--upgrade-socket", filepath.Join(dir, "up"), "--drain-timeout", "1s")
	c.cmd.Env = append(c.cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=60000000")
	if line := <-c.lines(); !strings.Contains(line, "(systemd)") {
		t.Fatalf("ready line %q, standard error:\n%s", line, c.stderr.String())
	}
	told := func(want string) string {
		t.Helper()
		re := regexp.MustCompile(want)
		buffer := make([]byte, 4096)
		for {
			_ = manager.SetReadDeadline(time.Now().Add(deadline))
			n, err := manager.Read(buffer)
			if err != nil {
				t.Fatalf("the service manager was not told %s: %v; standard error:\n%s", want, err, c.stderr.String())
			}
			if m := re.FindString(string(buffer[:n])); m != "" {
				return m
			}
		}
	}
	told("READY=1")
	stays := dial(t, tcp.Addr().String())
	ask(t, stays, kmsg.NewPtrMetadataRequest())
	c.signal(syscall.SIGUSR2)
	told("RELOADING=1\nMONOTONIC_USEC=[0-9]+")
	var pid int
	if _, err := fmt.Sscanf(told("MAINPID=[0-9]+\nREADY=1"), "MAINPID=%d", &pid); err != nil || pid == c.cmd.Process.Pid {
		t.Fatalf("process %d, %v", pid, err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	ask(t, dial(t, tcp.Addr().String()), kmsg.NewPtrMetadataRequest())
	if state, err := c.cmd.Process.Wait(); err != nil || state.ExitCode() != exitOK { // Wait of cmd waits for the standard output, which is the other's too
		t.Errorf("the first: %v, %v, standard error:\n%s", state, err, c.stderr.String())
	}
	ask(t, dial(t, tcp.Addr().String()), kmsg.NewPtrMetadataRequest())
	c.logged("another process serves") // who copies its standard error may be behind its end
	_ = syscall.Kill(pid, syscall.SIGTERM)
	told("STOPPING=1")
}
