//go:build linux

// Command storm makes connections and resets them, at a rate, beside good clients.
//
// Job. Say how many connections it could make of those that it was told to, and the longest
// that a good client had to wait for an answer meanwhile.
//
// Flow. One thread makes the connections by system calls alone, because it must not need the CPU
// that the server needs. A third of them say nothing, a third ask and are reset at once, and a
// third ask and are reset when 64 more have been made, so that they are answered.
//
// Ownership. The thread owns its sockets; a good client's goroutine owns its connection.
//
// Never. It waits for no connection: one that is not established at once counts as late. It does
// not run out of ports: connections come from many addresses, and a reset leaves no TIME_WAIT.
//
// Kernel. Loopback answers for every address of 127.0.0.0/8. IP_BIND_ADDRESS_NO_PORT (4.2)
// leaves the port to connect(2), which knows both ends.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kring/internal/clients/raw"
)

const (
	// addresses that connections come from.
	addresses = 250
	// lingering is how many connections are made before one that is to be answered is reset.
	lingering = 64
	// askEvery is the pace of a good client.
	askEvery = 20 * time.Millisecond
	// bindNoPort is IP_BIND_ADDRESS_NO_PORT, which package syscall lacks.
	bindNoPort = 24
)

// storm makes the connections.
type storm struct {
	server  syscall.SockaddrInet4
	open    [lingering]int // descriptors and 1; 0: none
	made    int
	late    int // not established at once
	refused int
}

// good are the clients beside it.
type good struct {
	asked   atomic.Int64
	slowest atomic.Int64 // nanoseconds
	over    chan struct{}
}

func main() {
	address := flag.String("bootstrap", "127.0.0.1:9092", "`HOST:PORT` of the server, on 127.0.0.0/8")
	rate := flag.Float64("rate", 100_000.0/60, "connections a second")
	lasts := flag.Duration("for", time.Minute, "how long")
	beside := flag.Int("good", 8, "good clients beside them")
	patience := flag.Duration("patience", time.Second, "the longest that a good client may wait")
	flag.Parse()
	if err := run(*address, *rate, *lasts, *beside, *patience); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(address string, rate float64, lasts time.Duration, beside int, patience time.Duration) error {
	server, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	g := good{over: make(chan struct{})}
	faults := make(chan error, beside)
	var all sync.WaitGroup
	for range beside {
		all.Go(func() { faults <- g.ask(address) })
	}
	s := storm{server: syscall.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()}}
	began := time.Now()
	failed := s.rage(rate, lasts)
	took := time.Since(began)
	close(g.over)
	all.Wait()
	close(faults)
	slowest := time.Duration(g.slowest.Load())
	fmt.Printf("storm: connections=%d late=%d refused=%d seconds=%.1f per_minute=%.0f good=%d asked=%d slowest=%v\n",
		s.made, s.late, s.refused, took.Seconds(), float64(s.made)/took.Minutes(), beside, g.asked.Load(), slowest.Round(time.Microsecond))
	for err := range faults {
		failed = errors.Join(failed, err)
	}
	if slowest > patience {
		failed = errors.Join(failed, fmt.Errorf("a good client waited %v for an answer", slowest))
	}
	return failed
}

// rage makes connections at a rate.
func (s *storm) rage(rate float64, lasts time.Duration) error {
	runtime.LockOSThread()
	question := raw.Frame(raw.Header(raw.KeyApiVersions, 0, 1))
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	began := time.Now()
	for n := 0; ; <-pace.C {
		spent := time.Since(began)
		due := int(rate * min(spent, lasts).Seconds())
		for ; n < due; n++ {
			if err := s.connect(n, question); err != nil {
				return err
			}
		}
		if spent >= lasts {
			break
		}
	}
	for i := range s.open {
		s.reset(i)
	}
	return nil
}

// connect makes the n-th connection.
func (s *storm) connect(n int, question []byte) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	slot := n % lingering
	s.reset(slot)
	s.open[slot] = fd + 1
	if err := syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindNoPort, 1); err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 2, 0, byte(1 + n%addresses)}}); err != nil {
		return err
	}
	err = syscall.Connect(fd, &s.server)
	if err == syscall.EINPROGRESS { // always; on loopback it is established by now
		if _, err = syscall.Getpeername(fd); err == syscall.ENOTCONN {
			err = syscall.EINPROGRESS // the queue of connections to be accepted is full
		}
	}
	switch {
	case err == syscall.EINPROGRESS:
		s.late++
	case err == syscall.ECONNREFUSED:
		s.refused++
	case err != nil:
		return fmt.Errorf("connection %d: %w", n, err)
	default:
		s.made++
	}
	if n%3 > 0 {
		_, _ = syscall.Write(fd, question)
	}
	if n%3 < 2 {
		s.reset(slot)
	}
	return nil
}

// reset ends the connection of a slot by an RST.
func (s *storm) reset(slot int) {
	if fd := s.open[slot]; fd > 0 {
		_ = syscall.Close(fd - 1)
		s.open[slot] = 0
	}
}

// ask is a good client.
func (g *good) ask(address string) error {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return fmt.Errorf("a good client: %w", err)
	}
	defer conn.Close()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for i := int32(1); ; i++ {
		began := time.Now()
		if err := raw.Ask(conn, i); err != nil {
			return fmt.Errorf("a good client, question %d: %w", i, err)
		}
		took := int64(time.Since(began))
		for was := g.slowest.Load(); took > was && !g.slowest.CompareAndSwap(was, took); was = g.slowest.Load() {
		}
		g.asked.Add(1)
		select {
		case <-g.over:
			return nil
		case <-tick.C:
		}
	}
}
