package contestant

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kring/uring"
)

// Shape is what a server may know of the load before it comes. All are told the
// same; only the C floors adapt to the size, as floors may.
type Shape struct {
	FrameBytes int  // payload of the frames
	Depth      int  // requests in flight per connection
	Kafka      bool // Kafka requests, not frames to be echoed
	TLS        bool // by the certificate of the Site

	cert, key string // files, if TLS
}

// Contestant is one way to serve frames.
type Contestant struct {
	// Name is what tables and flags call it; About says in a line what it is.
	Name, About string
	// URing says that io_uring serves its sockets.
	URing bool
	// Ours says that it is kring.
	Ours bool
	// Kafka says that it can serve Kafka requests, KafkaOnly that it serves
	// nothing else.
	Kafka, KafkaOnly bool
	// TLS says that it can speak TLS, TLSOnly that it speaks nothing else.
	TLS, TLSOnly bool
	// WarmUp is what it needs at least before it is measured; 0: as others. It is
	// so long that the server is kept from run to run.
	WarmUp time.Duration
	// Mute says that it has nothing to say of itself, and is not asked.
	Mute bool
	// Usual ones take part unless others are named; Quick ones in the short
	// comparison as well.
	Usual, Quick bool

	// unpipelined: it is not told how many requests of a connection are in flight.
	unpipelined bool

	prepare func(*Site) (binary string, err error)
	args    func(binary string, s Shape) []string
}

// Prepare builds the contestant, or says in the error what it lacks and how to
// get it.
func (c *Contestant) Prepare(s *Site) error {
	binary, err := c.prepare(s)
	if err != nil {
		return err
	}
	s.binaries[c.Name] = binary
	return nil
}

// All lists every contestant in the order of tables.
func All() []*Contestant {
	list := append(append(served(), ours()...), special()...)
	list = append(list, goNet(), floor("c-uring", "uring.c", "C on io_uring: multishot accept and receive, buffer ring", true),
		floor("c-epoll", "epoll.c", "C on epoll", false))
	return append(list, openSSL(),
		peer("gnet", "gnet v2.10.0, one event loop per CPU, one write per batch"),
		unusual(peer("gnet-frame", "gnet v2.10.0, one event loop per CPU, one write per frame")),
		peer("netpoll", "netpoll v0.7.3, its zero-copy reader and writer, one flush per batch"),
		peer("nbio", "nbio v1.6.12, handled on its poller, one write per batch"),
		cached(Contestant{Name: "monoio", About: "monoio 0.2.4 (Rust) on io_uring, a task per connection, one write per batch", URing: true, Usual: true},
			"Rust (rustup.rs)"),
		cached(Contestant{Name: "netty", About: "Netty 4.2 (Java) on its io_uring transport, one event loop, one flush per batch", URing: true, WarmUp: javaWarmUp},
			"Java 17 and Maven"),
		cached(Contestant{Name: "kafka", About: "Apache Kafka 4.1, one KRaft node, one network thread a listener", Kafka: true, KafkaOnly: true, TLS: true, WarmUp: javaWarmUp},
			"Java 17 and Maven"))
}

// javaWarmUp is what a JVM needs to compile its hot paths.
const javaWarmUp = 8 * time.Second

// Select gives those of all that match one of the patterns (path.Match), in
// the order of all.
func Select(all []*Contestant, patterns []string) ([]*Contestant, error) {
	var chosen []*Contestant
	used := make([]bool, len(patterns))
	for _, c := range all {
		hit := false
		for i, p := range patterns {
			ok, err := path.Match(p, c.Name)
			if err != nil {
				return nil, fmt.Errorf("contestants: %q: %w", p, err)
			}
			if ok {
				hit, used[i] = true, true
			}
		}
		if hit {
			chosen = append(chosen, c)
		}
	}
	for i, p := range patterns {
		if !used[i] {
			return nil, fmt.Errorf("contestants: nothing is called %q: choose of %s", p, strings.Join(names(all), ", "))
		}
	}
	return chosen, nil
}

func names(cs []*Contestant) []string {
	var n []string
	for _, c := range cs {
		n = append(n, c.Name)
	}
	return n
}

// served are kring as "kring serve" runs it: nothing is asked for, or the engine
// alone. The others have as many requests of a connection in hand as are in flight;
// these have one, as Kafka has.
func served() []*Contestant {
	c := self("kring", "kring as 'kring serve' runs without flags: io_uring where it can, handler pool, one request of a connection at a time", []string{"--server", "kring"})
	epoll := self("kring-epoll", "kring as 'kring serve --engine epoll' runs", []string{"--server", "kring", "--engine", "epoll"})
	c.Usual, c.Quick = true, true
	c.prepare = func(s *Site) (string, error) {
		_, err := uring.New(uring.Config{})
		c.URing = err == nil // else another engine serves
		return s.Self, nil
	}
	for _, x := range []*Contestant{c, epoll} {
		x.Ours, x.Kafka, x.TLS, x.unpipelined = true, true, true, true
	}
	return []*Contestant{c, epoll}
}

// ours are kring's engines, each with both ways to run a handler and to wait.
func ours() []*Contestant {
	var list []*Contestant
	for _, e := range []struct{ short, engine string }{{"uring", "io_uring"}, {"epoll", "epoll"}, {"portable", "portable"}} {
		for _, d := range []string{"inline", "pool"} {
			for _, w := range []string{"locked", "parked"} {
				// kring's own choice of wait for the dispatch has the short name. Behind TLS
				// its choice is another.
				usual := (d == "inline") == (w == "locked")
				name, waits := "kring-"+e.short+"-"+d, w
				if usual {
					waits = "auto"
				} else {
					name += "-" + w
				}
				if e.short == "portable" && !usual {
					continue // on Go's net both waits are the same
				}
				list = append(list, self(name, fmt.Sprintf("kring on %s, handler %s, processors %s%s", e.engine, d, w, map[bool]string{true: " (parked behind TLS)"}[usual && w == "locked"]),
					[]string{"--server", "kring", "--engine", e.engine, "--dispatch", d, "--wait", waits}))
				c := list[len(list)-1]
				c.Ours, c.URing, c.Kafka, c.TLS = true, e.short == "uring", true, true
				c.Usual = usual && !(e.short == "portable" && d == "pool")
				c.Quick = usual && d == "inline" && e.short != "portable"
			}
		}
	}
	return list
}

// special are kring's that take part only when they are named.
func special() []*Contestant {
	busy := self("kring-uring-inline-busy", "kring on io_uring, handler inline, processors locked, polling for 50 µs before they sleep",
		[]string{"--server", "kring", "--engine", "io_uring", "--dispatch", "inline", "--wait", "locked", "--uring", "busy-poll=50us", "--uring", "busy-poll-forced=on"})
	broker := self("kring-uring-pool-embedded", "kring on io_uring, handler pool, the embedded one-node cluster behind it",
		[]string{"--server", "kring", "--engine", "io_uring", "--dispatch", "pool", "--wait", "parked", "--embedded"})
	broker.KafkaOnly = true
	for _, c := range []*Contestant{busy, broker} {
		c.Ours, c.URing, c.Kafka, c.TLS = true, true, true, true
	}
	return []*Contestant{busy, broker}
}

func goNet() *Contestant {
	c := self("go-net", "Go's net, a goroutine per connection, one write per batch", []string{"--server", "go-net"})
	c.Usual, c.Quick, c.Kafka, c.TLS = true, true, true, true
	return c
}

// self is a contestant of this module: the bench's own program, started again.
func self(name, about string, flags []string) *Contestant {
	c := &Contestant{Name: name, About: about, prepare: func(s *Site) (string, error) { return s.Self, nil }}
	c.args = func(binary string, s Shape) []string {
		a := append([]string{binary, "serve"}, flags...)
		if s.Kafka {
			a = append(a, "--kafka")
		}
		if s.TLS {
			a = append(a, "--tls-cert", s.cert, "--tls-key", s.key)
		}
		if !c.unpipelined {
			a = append(a, "--pipeline", strconv.Itoa(s.Depth))
		}
		return a
	}
	return c
}

// floor is a minimal server in C: what the kernel's interface allows, with no
// runtime and no generality in the way.
func floor(name, source, about string, uring bool) *Contestant {
	return &Contestant{
		Name: name, About: about, URing: uring, Usual: true, Quick: true,
		prepare: func(s *Site) (string, error) { return s.compile(name, source) },
		args: func(binary string, s Shape) []string {
			return []string{binary, strconv.Itoa(s.FrameBytes)}
		},
	}
}

// openSSL is the floor of TLS by readiness.
func openSSL() *Contestant {
	c := floor("c-openssl", "tls.c", "C and OpenSSL on epoll", false)
	c.TLS, c.TLSOnly = true, true
	c.prepare = func(s *Site) (string, error) { return s.compile(c.Name, "tls.c", "-lssl", "-lcrypto") }
	c.args = func(binary string, s Shape) []string {
		return []string{binary, strconv.Itoa(s.FrameBytes), s.cert, s.key}
	}
	return c
}

// peer is another project's framework, in the module bench/peers.
func peer(name, about string) *Contestant {
	return &Contestant{
		Name: name, About: about, Usual: true,
		prepare: func(s *Site) (string, error) { return s.buildPeers() },
		args:    func(binary string, s Shape) []string { return []string{binary, name} },
	}
}

// unusual takes part only when it is named.
func unusual(c *Contestant) *Contestant {
	c.Usual = false
	return c
}

// cached is a peer that scripts/peers.sh has built.
func cached(c Contestant, needs string) *Contestant {
	c.Mute = true
	c.prepare = func(*Site) (string, error) {
		binary := filepath.Join(peersDir(), c.Name, "run")
		if _, err := os.Stat(binary); err != nil {
			return "", &Absent{"needs " + needs + " and to be built", "run scripts/peers.sh " + c.Name}
		}
		return binary, nil
	}
	c.args = func(binary string, s Shape) []string {
		if s.TLS {
			return []string{binary, s.cert, s.key}
		}
		return []string{binary}
	}
	return &c
}

// peersDir is where scripts/peers.sh keeps what it built.
func peersDir() string {
	if dir := os.Getenv("KRING_PEERS"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "kring-peers")
}
