// Command churn opens and closes connections, in every way, as often as it is told.
//
// Job. Give a server many short connections, and notice if one of them, or an honest
// one beside them, is not served. The caller (scripts/churn.sh) checks what they leave
// behind.
//
// Flow. Each goroutine takes the next cycle until all are done; a cycle's
// number chooses how it ends. A few honest connections send requests all the time.
//
// Ownership. A connection belongs to the goroutine that dialed it.
//
// Never. It does not wait for what a server may do later, and does not run out of ports:
// connections come from many addresses of 127.0.0.0/8, because a connection that the
// client ends first keeps its port for a minute (TIME_WAIT).
//
// Kernel. Loopback answers for every address of 127.0.0.0/8 on Linux.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kring/internal/clients/raw"
)

// patience bounds a single step: a server under load is slow.
const patience = 30 * time.Second

// addresses that connections come from; each has some 28,000 ports.
const addresses = 1 << 10

type churn struct {
	server *net.TCPAddr
	cycles int64
	next   atomic.Int64
	asked  atomic.Int64
}

// ways are how a connection lives and ends.
var ways = []struct {
	name string
	live func(c *net.TCPConn) error
}{
	{"connect, finish", finish},
	{"connect, reset", reset},
	{"ask, finish", then(ask, finish)},
	{"ask, reset", then(ask, reset)},
	{"ask, reset before the answer", then(say(question), reset)},
	{"ask, finish before the answer", then(say(question), halfClose, hear, wantEnd)},
	{"a part of a frame, finish", then(say(question[:len(question)-3]), finish)},
	{"a part of a frame, reset", then(say(question[:len(question)-3]), reset)},
	{"a part of a size, finish", then(say(question[:2]), finish)},
	{"a part of a big frame, reset", then(say(bigFrame), reset)},
	{"a part of a big frame, finish", then(say(bigFrame), finish)},
	{"a size that nobody allows", then(say([]byte{0xff, 0xff, 0xff, 0xff}), wantEnd)},
}

var (
	question = raw.Frame(raw.Header(raw.KeyApiVersions, 0, 1))
	bigFrame = append(binary.BigEndian.AppendUint32(nil, 256<<10), raw.Header(raw.KeyProduce, 7, 1)...)
)

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:9092", "`HOST:PORT` of the server, on 127.0.0.0/8")
	cycles := flag.Int64("cycles", 20_000, "connections to make and end")
	atOnce := flag.Int("at-once", 64, "connections that are open at a time")
	honest := flag.Int("honest", 4, "connections beside them that ask all the time")
	flag.Parse()
	c := &churn{cycles: *cycles}
	var err error
	if c.server, err = net.ResolveTCPAddr("tcp4", *bootstrap); err == nil {
		err = c.run(*atOnce, *honest)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(1)
	}
}

func (c *churn) run(atOnce, honest int) error {
	start := time.Now()
	var churning, asking sync.WaitGroup
	faults := make(chan error, atOnce+honest)
	over := make(chan struct{})
	for range honest {
		asking.Go(func() { faults <- c.askUntil(over) })
	}
	for range atOnce {
		churning.Go(func() { faults <- c.take() })
	}
	churning.Wait()
	close(over)
	asking.Wait()
	close(faults)
	var all []error
	for err := range faults {
		all = append(all, err)
	}
	took := time.Since(start)
	fmt.Printf("churn: cycles=%d connections=%d asked=%d seconds=%.1f per_second=%.0f\n",
		c.cycles, c.cycles+int64(honest), c.asked.Load(), took.Seconds(), float64(c.cycles)/took.Seconds())
	return errors.Join(all...)
}

// take runs cycles until none is left, or one failed.
func (c *churn) take() error {
	for {
		n := c.next.Add(1) - 1
		if n >= c.cycles {
			return nil
		}
		way := ways[n%int64(len(ways))]
		conn, err := c.dial(n)
		if err == nil {
			err = way.live(conn)
			_ = conn.Close()
		}
		if err != nil {
			c.next.Store(c.cycles) // the other goroutines end, too
			return fmt.Errorf("cycle %d, %s: %w", n, way.name, err)
		}
	}
}

func (c *churn) dial(n int64) (*net.TCPConn, error) {
	n = n % addresses
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}
	d := net.Dialer{LocalAddr: from, Timeout: patience, KeepAlive: -1}
	conn, err := d.Dial("tcp4", c.server.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), conn.SetDeadline(time.Now().Add(patience))
}

// askUntil is an honest connection.
func (c *churn) askUntil(over <-chan struct{}) error {
	conn, err := net.DialTimeout("tcp4", c.server.String(), patience)
	if err != nil {
		return fmt.Errorf("an honest connection: %w", err)
	}
	defer conn.Close()
	for i := int32(1); ; i++ {
		if err := raw.Ask(conn, i); err != nil {
			return fmt.Errorf("an honest connection, question %d: %w", i, err)
		}
		c.asked.Add(1)
		select {
		case <-over:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// then lives one after the other.
func then(parts ...func(*net.TCPConn) error) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		for _, part := range parts {
			if err := part(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func finish(c *net.TCPConn) error { return c.Close() }

func reset(c *net.TCPConn) error {
	return errors.Join(c.SetLinger(0), c.Close())
}

func halfClose(c *net.TCPConn) error { return c.CloseWrite() }

func say(b []byte) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		_, err := c.Write(b)
		return err
	}
}

func ask(c *net.TCPConn) error { return raw.Ask(c, 7) }

// hear reads an answer.
func hear(c *net.TCPConn) error {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:])))
	return err
}

// wantEnd demands that the server ends the connection, by FIN or RST.
func wantEnd(c *net.TCPConn) error {
	n, err := c.Read(make([]byte, 1))
	if timeout, ok := err.(net.Error); n > 0 || ok && timeout.Timeout() {
		return fmt.Errorf("the server did not end the connection: %d bytes, %w", n, err)
	}
	return nil
}
