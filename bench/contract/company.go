package contract

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kring/bench/contestant"
)

// CompanyConfig of a process that disturbs.
type CompanyConfig struct {
	Kind    string // "burst", "shake", "fetch" or "sink"
	Address string // of the server; of several, separated by commas
	Conns   int    // of a burst, or that a sink has room for
	Ask     bool   // a burst ends when its last connections have been answered
	File    string // what fetch has the server send
	GiveWay bool
}

// Accompany is the process of one who disturbs. It says that it is ready, and
// does what it does when it is told to "go".
func Accompany(c CompanyConfig, in io.Reader, out io.Writer) error {
	if c.Kind == "sink" {
		return openSink(c.Conns, in, out)
	}
	if c.GiveWay {
		giveWay()
	}
	var does func(string) contestant.Own
	if c.Kind == "burst" || c.Kind == "shake" {
		b := &bursting{CompanyConfig: c, addresses: strings.Split(c.Address, ",")}
		defer b.close()
		does = b.does
	} else {
		f, err := newFetcher(c)
		if err != nil {
			return err
		}
		defer f.close()
		does = f.does
	}
	fmt.Fprintln(out, "ready", c.Kind)
	return contestant.Obey(in, out, does)
}

// patience of one who disturbs, with a server that does not answer.
const patience = 30 * time.Second

// dialers is how many connects of a burst are under way at once: less than any
// usual backlog, or the kernel answers with silence, and the burst ends with a
// second's pause.
const dialers = 64

// shakers is how many TLS handshakes of a burst are under way at once: a storm of clients that
// were told of a new broker.
const shakers = 64

// bursting connects as often as it can, and holds what it has.
type bursting struct {
	CompanyConfig
	addresses []string
	failed    atomic.Uint64
	mu        sync.Mutex
	conns     []net.Conn // guarded by mu
}

func (b *bursting) does(string) contestant.Own {
	begun := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	dialers := dialers
	if b.Kind == "shake" {
		dialers = shakers
	}
	for range dialers {
		all.Go(func() {
			var last net.Conn
			for i := int(next.Add(1)); i <= b.Conns; i = int(next.Add(1)) {
				if c := b.dial(b.addresses[i*len(b.addresses)/(b.Conns+1)]); c != nil {
					last = c
				}
			}
			if b.Ask && last != nil {
				b.ask(last)
			}
		})
	}
	all.Wait()
	return contestant.Own{"seconds": time.Since(begun).Seconds(), "failed": float64(b.failed.Load()), "connected": float64(len(b.conns))}
}

func (b *bursting) dial(address string) net.Conn {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		b.failed.Add(1)
		return nil
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // ends in a reset: its port is free at once
	}
	if b.Kind == "shake" {
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // it knows whom it disturbs
		_ = t.SetDeadline(time.Now().Add(patience))
		if _, err := ask(t, []byte("here"), make([]byte, 8)); err != nil {
			b.failed.Add(1)
		}
		_ = t.Close()
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, c)
	return c
}

// ask proves that the server serves the connection: it accepts in order, so
// that it has then accepted all before.
func (b *bursting) ask(c net.Conn) {
	if _, err := ask(c, []byte("here"), make([]byte, 8)); err != nil {
		b.failed.Add(1)
	}
}

// ask sends a frame and reads what fits into answer, which must be all of it.
func ask(c net.Conn, payload, answer []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)); err != nil {
		return 0, err
	}
	return io.ReadFull(c, answer)
}

func (b *bursting) close() {
	for _, c := range b.conns {
		_ = c.Close()
	}
}

// openSink listens and never accepts. One listener's queue holds as many as the
// system lets it, so there are several.
func openSink(conns int, in io.Reader, out io.Writer) error {
	var addresses []string
	for range conns/backlogMax() + 1 {
		l, err := net.Listen("tcp", "127.0.0.1:0") // its backlog is the system's most
		if err != nil {
			return fmt.Errorf("contract: sink: %w", err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	fmt.Fprintln(out, "ready", strings.Join(addresses, ","))
	return contestant.Obey(in, out, func(string) contestant.Own { return nil })
}

// backlogMax is what the system lets a queue hold, Linux's first default where
// it does not say.
func backlogMax() int {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if n, bad := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && bad == nil && n > 0 {
		return n
	}
	return 128
}

func (r *runner) startSink() (*contestant.Process, error) {
	return contestant.StartProcess("sink", []string{r.self, "accompany", "--kind", "sink", "--conns", strconv.Itoa(r.Burst)}, r.env.GeneratorCPUs)
}
