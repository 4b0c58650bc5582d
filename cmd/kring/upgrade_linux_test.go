package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// producers write to a topic until they are told to stop. Kafka's clients connect again when
// they are closed, and repeat what was not answered; nothing else may fail.
type producers struct {
	stop    atomic.Bool
	written atomic.Int64
	all     sync.WaitGroup
	failed  atomic.Pointer[error]
}

func produceAlways(t *testing.T, clients int, address string) *producers {
	t.Helper()
	p := &producers{}
	for i := range clients {
		client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("upgraded"), kgo.AllowAutoTopicCreation(),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(deadline))
		if err != nil {
			t.Fatal(err)
		}
		p.all.Go(func() {
			defer client.Close()
			for n := 0; !p.stop.Load(); n++ {
				r := &kgo.Record{Value: fmt.Appendf(nil, "%d %d", i, n)}
				if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
					p.failed.CompareAndSwap(nil, &err)
					return
				}
				p.written.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		p.stop.Store(true)
		p.all.Wait()
	})
	return p
}

// more waits until n records more were written.
func (p *producers) more(t *testing.T, n int64) {
	t.Helper()
	goal, end := p.written.Load()+n, time.Now().Add(deadline)
	for p.written.Load() < goal {
		if err := p.failed.Load(); err != nil {
			t.Fatal(*err)
		}
		if time.Now().After(end) {
			t.Fatalf("%d records were written, and %d were to be", p.written.Load(), goal)
		}
		time.Sleep(time.Millisecond)
	}
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
			p := produceAlways(t, 4, c.addr)
			for range 3 {
				p.more(t, 20)
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
			p.stop.Store(true)
			p.all.Wait()
			if n := endOffset(t, c.addr, "upgraded"); n < p.written.Load() {
				t.Errorf("%d records are there, and %d were acknowledged", n, p.written.Load())
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
	p.stop.Store(true)
	p.all.Wait()
	if n := endOffset(t, c.addr, "upgraded"); n < p.written.Load() {
		t.Errorf("%d records are there, and %d were acknowledged", n, p.written.Load())
	}
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("status %d, standard error:\n%s", status, c.stderr.String())
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
	if !strings.Contains(c.stderr.String(), "another process serves") {
		t.Errorf("standard error:\n%s", c.stderr.String())
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	told("STOPPING=1")
}
