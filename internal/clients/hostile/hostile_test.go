package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"kring/internal/clients/broker"
	"kring/internal/clients/raw"
)

func TestMain(m *testing.M) { os.Exit(broker.Main(m)) }

const (
	// closedWithin is what the server promises.
	closedWithin = 100 * time.Millisecond
	// rounds is how often each lie is told; the first warm caches and pools.
	rounds, roundsWarm = 200, 20
	// growthMax is what resident memory may grow by over the rounds that
	// follow: 2,000 connections and more, each of which claimed gigabytes.
	growthMax = 16 << 20
	// neighbourWithin bounds the honest connection's slowest answer.
	neighbourWithin = 10 * time.Second
)

func TestALieCostsItsOwnConnectionAndNothingElse(t *testing.T) {
	broker.Each(t, func(t *testing.T, b *broker.Broker) {
		n := startNeighbour(t, b.Addr)
		for range roundsWarm {
			tellAll(t, b.Addr)
		}
		before := usage(t, b)
		for range rounds - roundsWarm {
			tellAll(t, b.Addr)
		}
		after := usage(t, b)
		if grown := after.RSSBytes - before.RSSBytes; grown > growthMax {
			t.Errorf("resident memory grew by %d bytes over %d lies", grown, (rounds-roundsWarm)*len(lies))
		}
		n.stop(t)
		if b.Engine == "external" {
			return // its summary is not ours to read
		}
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
		counted(t, b.Log())
	}, "--log-level", "info")
}

func usage(t *testing.T, b *broker.Broker) broker.Usage {
	t.Helper()
	if b.Engine == "external" {
		return broker.Usage{}
	}
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tellAll(t *testing.T, addr string) {
	t.Helper()
	for _, l := range lies {
		if err := tell(addr, l); err != nil {
			t.Errorf("%s: %v", l.name, err)
		}
	}
}

// tell sends a lie and waits for the connection's end. A server that is slow
// once was kept from running; one that is slow ten times running is slow.
func tell(addr string, l lie) error {
	var err error
	for range 10 {
		if err = tellOnce(addr, l); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return err
}

func tellOnce(addr string, l lie) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	// An answer first proves that it is the lie that ends the connection.
	if err := raw.Ask(conn, 1); err != nil {
		return fmt.Errorf("before the lie: %w", err)
	}
	if _, err := conn.Write(l.bytes); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(closedWithin)); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, conn)
	switch {
	case n > 0:
		return fmt.Errorf("was answered with %d bytes", n)
	case err == nil, errors.Is(err, syscall.ECONNRESET):
		return nil
	}
	return fmt.Errorf("the connection was not closed within %v: %w", closedWithin, err)
}

// neighbour is a well-behaved connection that keeps asking.
type neighbour struct {
	quit    chan struct{}
	running sync.WaitGroup
	asked   int
	slowest time.Duration
	err     error
}

func startNeighbour(t *testing.T, addr string) *neighbour {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	n := &neighbour{quit: make(chan struct{})}
	n.running.Go(func() {
		for {
			select {
			case <-n.quit:
				return
			default:
			}
			start := time.Now()
			n.asked++
			if n.err = raw.Ask(conn, int32(n.asked)); n.err != nil {
				return
			}
			n.slowest = max(n.slowest, time.Since(start))
		}
	})
	return n
}

func (n *neighbour) stop(t *testing.T) {
	t.Helper()
	close(n.quit)
	n.running.Wait()
	if n.err != nil {
		t.Errorf("the honest connection broke after %d requests: %v", n.asked, n.err)
	}
	if n.slowest > neighbourWithin {
		t.Errorf("the honest connection once waited %v for an answer", n.slowest)
	}
	t.Logf("the honest connection asked %d times and waited %v at most", n.asked, n.slowest)
}

// counted checks the server's summary: every lie under its reason.
func counted(t *testing.T, log string) {
	t.Helper()
	want := map[string]int{}
	for _, l := range lies {
		want[l.reason] += rounds
	}
	for reason, n := range want {
		m := regexp.MustCompile(`\b` + reason + `\W+(\d+)`).FindStringSubmatch(log)
		if m == nil {
			t.Errorf("the server's summary does not count %s", reason)
			continue
		}
		// A lie told again, because its end came late, is counted again.
		if got, err := strconv.Atoi(m[1]); err != nil || got < n {
			t.Errorf("the server's summary counts %s of %s, want %d", m[1], reason, n)
		}
	}
	if t.Failed() {
		t.Logf("the log:\n%s", log)
	}
}

func TestVersionsCanBeAskedForInAVersionNobodyHas(t *testing.T) {
	broker.Each(t, func(t *testing.T, b *broker.Broker) {
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(raw.Frame(join(raw.Header(raw.KeyApiVersions, 99, 7), []byte{0}))); err != nil {
			t.Fatal(err)
		}
		// size, correlation id, error code, count of ranges, first range
		var head [14]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatal(err)
		}
		if code := binary.BigEndian.Uint16(head[8:]); code != 35 {
			t.Errorf("error code %d, want 35 (UNSUPPORTED_VERSION)", code)
		}
		if ranges := binary.BigEndian.Uint32(head[10:]); ranges == 0 || ranges > 200 {
			t.Errorf("the answer, read as version 0, lists %d APIs", ranges)
		}
	})
}
