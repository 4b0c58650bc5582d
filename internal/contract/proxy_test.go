package contract

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/proxyproto/proxytest"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

const (
	forwardedClient = "192.0.2.7:1234"
	forwardedTo     = "198.51.100.1:9092"
)

// networks are those of forwarders that are trusted.
func networks(all ...string) (of []netip.Prefix) {
	for _, n := range all {
		of = append(of, netip.MustParsePrefix(n))
	}
	return of
}

// trusting has clients of this machine forward.
func trusting(cfg kring.Config) kring.Config {
	cfg.Listeners[0].ProxyProtocol = networks("127.0.0.1/32")
	return cfg
}

// whose answers "who" with the ends of the connection and its forwarder's, and echoes the
// rest. It notes of whom it was told.
type whose struct {
	mu             sync.Mutex
	opened, closed []string // guarded by mu
}

func (*whose) Handle(r kring.Request) {
	if string(r.Payload()) != "who" {
		r.Respond(r.Payload())
		return
	}
	c, says := r.Conn(), "nobody"
	if p := c.Proxy(); p != nil {
		name, _ := p.TLV(0x02)
		says = fmt.Sprintf("%v %v %d %t %s", p.Remote.Addr(), p.Local, p.Version(), p.ForItself(), name)
	}
	r.Respond(fmt.Appendf(nil, "%v to %v by %s", c.Remote, c.Local, says))
}

func (w *whose) ConnOpened(c *kring.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, c.Remote.String())
}

func (w *whose) ConnClosed(c *kring.Conn, _ kring.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = append(w.closed, c.Remote.String())
}

func (w *whose) told() (opened, closed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.opened), slices.Clone(w.closed)
}

// raw writes bytes that are no frames.
func raw(t *testing.T, c *servertest.Client, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// forwarded connects, and says for whom.
func forwarded(t *testing.T, s *kring.Server, client string) *servertest.Client {
	t.Helper()
	c := servertest.Dial(t, s)
	raw(t, c, proxytest.V2(client, forwardedTo))
	return c
}

// The header comes byte by byte, or with the frames behind it in one piece, small ones and
// large: the handler, the watcher and the listing see the client and not its forwarder.
//
// Kafka: U-5.
func TestAForwardedConnectionIsItsClients(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		w := &whose{}
		s := servertest.Start(t, trusting(cfg), w)
		at := s.Addrs()[0].String()
		for _, v := range []struct {
			header  []byte
			version int
			name    string
		}{
			{proxytest.V1(forwardedClient, forwardedTo), 1, ""},
			{proxytest.V2(forwardedClient, forwardedTo), 2, ""},
			{proxytest.V2(forwardedClient, forwardedTo, proxytest.TLV(0x04, strings.Repeat("x", 600)), proxytest.TLV(0x02, "kafka.example")), 2, "kafka.example"},
		} {
			want := fmt.Sprintf("%s to %s by 127.0.0.1 %s %d false %s", forwardedClient, forwardedTo, at, v.version, v.name)
			drips := servertest.Dial(t, s)
			for i := range v.header {
				raw(t, drips, v.header[i:i+1])
			}
			drips.Ask("who", want)
			for _, size := range []int{10, 64 << 10, 300_000} {
				together, payload := servertest.Dial(t, s), strings.Repeat("p", size)
				raw(t, together, slices.Concat(v.header, servertest.Frame([]byte(payload)), servertest.Frame([]byte("who"))))
				if got := together.Receive(); got != payload {
					t.Fatalf("%d bytes came back as %d", size, len(got))
				}
				if got := together.Receive(); got != want {
					t.Fatalf("answer %q, want %q", got, want)
				}
			}
		}
		for _, c := range list(t, s) {
			if c.Remote.String() != forwardedClient || c.Local.String() != forwardedTo {
				t.Errorf("listed as %v to %v", c.Remote, c.Local)
			}
		}
		servertest.Shutdown(t, s)
		opened, closed := w.told()
		if len(opened) != 12 || len(closed) != 12 || slices.ContainsFunc(append(opened, closed...), func(of string) bool { return of != forwardedClient }) {
			t.Errorf("told of %q and %q", opened, closed)
		}
	})
}

// Who is not trusted is served as ever, and closed with a header; who is trusted must send
// one. Nobody is told of those who are closed.
//
// Kafka: U-5.
func TestAHeaderIsForThoseWhoAreTrustedAndForNobodyElse(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		w := &whose{}
		var mu sync.Mutex
		details := map[string]string{} // guarded by mu
		cfg.Events.ConnClosed = func(c *kring.Conn, why kring.CloseReason) {
			mu.Lock()
			defer mu.Unlock()
			details[why.String()] = fmt.Sprint(c.Remote.Addr(), " ", c.EndDetail())
		}
		s := servertest.Start(t, trusting(cfg), w)
		stranger := dialFrom(t, "127.0.0.2", s, 0)
		stranger.Ask("hello", "hello")
		for _, header := range [][]byte{proxytest.V1(forwardedClient, forwardedTo), proxytest.V2(forwardedClient, forwardedTo), proxytest.Local()} {
			c := dialFrom(t, "127.0.0.2", s, 0)
			raw(t, c, header)
			c.AwaitClose()
		}
		bare := servertest.Dial(t, s)
		bare.Send("hello")
		bare.AwaitClose()
		wrong := servertest.Dial(t, s)
		raw(t, wrong, []byte("PROXY TCP4 192.0.2.300 192.0.2.1 1 2\r\n"))
		wrong.AwaitClose()
		servertest.Eventually(t, "all are counted", func() bool {
			return closedBy(s, reqchan.ProxyHeaderUntrusted) == 3 && closedBy(s, reqchan.ProxyHeaderMissing) == 1 && closedBy(s, reqchan.ProxyHeaderMalformed) == 1
		})
		stranger.Ask("still there", "still there")
		servertest.Shutdown(t, s)
		if opened, closed := w.told(); len(opened) != 1 || len(closed) != 1 {
			t.Errorf("told of %q and %q", opened, closed)
		}
		mu.Lock()
		defer mu.Unlock()
		if d := details["proxy_header_malformed"]; !strings.Contains(d, "127.0.0.1") || !strings.Contains(d, `"192.0.2.300"`) {
			t.Errorf("a malformed header is reported as %q", d)
		}
	})
}

// A health check comes without a client: by LOCAL or UNKNOWN, with requests or without, or
// by a connection that sends nothing at all.
func TestAForwarderMayLookWhetherTheServerIsThere(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax = 1
		s := servertest.Start(t, trusting(cfg), &whose{})
		at := s.Addrs()[0].String()
		for _, version := range []int{1, 2} {
			header := []byte("PROXY UNKNOWN\r\n")
			if version == 2 {
				header = proxytest.Local()
			}
			c, mute := servertest.Dial(t, s), servertest.Dial(t, s)
			raw(t, c, header)
			c.Send("who")
			if got, want := c.Receive(), fmt.Sprintf("%v to %s by 127.0.0.1 %s %d true ", c.LocalAddr(), at, at, version); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
			raw(t, mute, header)
			_ = mute.Close()
		}
		_ = servertest.Dial(t, s).Close()
		servertest.Eventually(t, "they have left in order", func() bool { return closedBy(s, reqchan.PeerFinished) == 3 })
	})
}

// A header that was begun has its time too when nobody is trusted any more.
func TestAHeaderHasItsTimeWhenNobodyIsTrustedAnyMore(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Proxy = time.Hour
		s := servertest.Start(t, trusting(cfg), &whose{})
		silent, begun := servertest.Dial(t, s), servertest.Dial(t, s)
		raw(t, begun, []byte("PROXY TCP4 "))
		servertest.Eventually(t, "both are accepted", func() bool { return s.Stats().Open == 2 })
		cfg.Timeouts.Proxy = time.Millisecond
		reconfigure(t, s, cfg)
		silent.AwaitClose()
		begun.AwaitClose()
		closedFor(t, s, reqchan.ProxyHeaderTimeout, 2)
	})
}

// A header that does not come in time, or not whole, ends its connection; however many of
// them there are, others are served.
func TestAHeaderThatDoesNotComeEndsItsConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const floods = 60
		cfg.Timeouts.Proxy = 300 * time.Millisecond
		s := servertest.Start(t, trusting(cfg), &whose{})
		long := proxytest.V2(forwardedClient, forwardedTo, proxytest.TLV(0x04, strings.Repeat("x", 3000)))
		for i := range floods {
			c := servertest.Dial(t, s)
			_, _ = c.Write(long[:i*(len(long)-1)/floods])
		}
		servertest.Eventually(t, "all are closed", func() bool { return closedBy(s, reqchan.ProxyHeaderTimeout) == floods })
		stranger := dialFrom(t, "127.0.0.2", s, 0) // has no header to send, and time
		stranger.Ask("hello", "hello")
		if n := list(t, s); len(n) != 1 {
			t.Errorf("%d connections are left", len(n))
		}
	})
}

// The bounds per address are about clients. A forwarder's own address has none, while the
// bounds on all hold for it.
func TestBoundsPerAddressAreAboutTheForwardedClients(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax, cfg.Conns.Max, cfg.Conns.WhenFull = 2, 8, kring.WhenFullRefuse
		cfg.Conns.PerIP = []kring.AddressLimit{{Source: "2001:db8::/32", ConnsMax: 1}, {Source: "127.0.0.1", ConnsMax: kring.NoConns}}
		s := servertest.Start(t, trusting(cfg), servertest.Echo)
		first, second := forwarded(t, s, "192.0.2.1:1"), forwarded(t, s, "192.0.2.1:2")
		first.Ask("in", "in")
		second.Ask("in", "in")
		forwarded(t, s, "192.0.2.1:3").AwaitClose()
		forwarded(t, s, "[::ffff:192.0.2.1]:4").AwaitClose() // the same client
		forwarded(t, s, "192.0.2.2:1").Ask("in", "in")
		forwarded(t, s, "[2001:db8::1]:1").Ask("in", "in")
		forwarded(t, s, "[2001:db8::1]:2").AwaitClose()
		dialFrom(t, "127.0.0.2", s, 0).Ask("in", "in")
		servertest.Eventually(t, "they are counted", func() bool { return closedBy(s, reqchan.AddressFull) == 3 })

		_ = first.Close()
		servedSoon(t, func() *servertest.Client { return forwarded(t, s, "192.0.2.1:5") })
		forwarded(t, s, "192.0.2.1:6").AwaitClose()

		servertest.Eventually(t, "those that were closed have left", func() bool { return s.Stats().Listeners[0].Open == 5 })
		for i := range 3 {
			forwarded(t, s, fmt.Sprintf("192.0.2.%d:1", 10+i)).Ask("in", "in")
		}
		servertest.Dial(t, s).AwaitClose() // the ninth
		if by := refusedBy(s); by["full"] == 0 {
			t.Errorf("refused: %v", by)
		}
	})
}

// Kafka's parked connections: a client that connects too often is held open, unserved.
func TestAForwardedClientOverItsRateIsNotServed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.RatePerIPMax, cfg.Conns.RateWindows, cfg.Conns.RateWindow = 4, 2, 500*time.Millisecond
		w := &whose{}
		s := servertest.Start(t, trusting(cfg), w)
		var all []*servertest.Client
		for i := range 20 {
			all = append(all, forwarded(t, s, fmt.Sprintf("192.0.2.1:%d", i+1)))
		}
		served := 0
		for _, c := range all {
			if isServed(t, c) {
				served++
			}
		}
		rated := uint64(len(all) - served)
		servertest.Eventually(t, "the others are counted, and gone", func() bool {
			l := s.Stats().Listeners[0]
			return closedBy(s, reqchan.AddressRate) == rated && l.Throttled == rated && l.ThrottledNow == 0
		})
		if opened, _ := w.told(); served == 0 || len(opened) != served {
			t.Errorf("%d are served, and the handler was told of %q", served, opened)
		}
		forwarded(t, s, "192.0.2.2:1").Ask("another", "another")
	})
}

// A connection goes on with another processor before its header is whole.
func TestAConnectionMovesInTheMiddleOfItsHeader(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg = trusting(cfg)
		cfg.Conns.PerIPMax = 8
		s := servertest.Start(t, cfg, &whose{})
		header := proxytest.V2(forwardedClient, forwardedTo, proxytest.TLV(0x02, strings.Repeat("n", 200)))
		var all []*servertest.Client
		for i := range 8 {
			c := servertest.Dial(t, s)
			raw(t, c, header[:i*20])
			all = append(all, c)
		}
		servertest.Eventually(t, "all have arrived", func() bool { return len(list(t, s)) == len(all) })
		for _, c := range list(t, s) {
			if c.State != processor.ConnPreface || c.Remote.Addr().String() != "127.0.0.1" {
				t.Errorf("%v of %v before its header", c.State, c.Remote)
			}
		}
		cfg.Listeners = slices.Clone(cfg.Listeners)
		cfg.Processors.Count = 1
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		servertest.Eventually(t, "they have moved", func() bool { return s.Stats().Total.MovedIn > 0 })
		for i, c := range all {
			raw(t, c, slices.Concat(header[i*20:], servertest.Frame([]byte("who"))))
			if got := c.Receive(); !strings.HasPrefix(got, forwardedClient+" to "+forwardedTo) {
				t.Errorf("answer %q", got)
			}
		}
		forwarded(t, s, forwardedClient).AwaitClose() // each has been counted once
	})
}

func TestADrainEndsConnectionsInTheMiddleOfTheirHeaders(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, trusting(cfg), &whose{})
		header := proxytest.V2(forwardedClient, forwardedTo)
		var all []*servertest.Client
		for i := range 5 {
			c := servertest.Dial(t, s)
			raw(t, c, header[:i*5])
			all = append(all, c)
		}
		servertest.Eventually(t, "all have arrived", func() bool { return s.Stats().Total.Opened == 5 })
		servertest.Shutdown(t, s)
		for _, c := range all {
			c.AwaitClose()
		}
		if n := closedBy(s, reqchan.ServerDraining); n != 5 {
			t.Errorf("%d ended by the drain", n)
		}
	})
}

// Reconfigure trusts others, for those who connect from then on.
func TestWhoIsTrustedChangesWhileTheServerServes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, &whose{})
		servertest.Dial(t, s).Ask("before", "before")
		cfg.Listeners = slices.Clone(cfg.Listeners)
		if err := s.Reconfigure(trusting(cfg)); err != nil {
			t.Fatal(err)
		}
		c := forwarded(t, s, forwardedClient)
		c.Send("who")
		if got := c.Receive(); !strings.HasPrefix(got, forwardedClient) {
			t.Errorf("answer %q", got)
		}
		cfg.Listeners = slices.Clone(cfg.Listeners)
		cfg.Listeners[0].ProxyProtocol = nil
		if err := s.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		servertest.Dial(t, s).Ask("after", "after")
	})
}

// Where each processor accepts for itself the same is judged on its own engine.
func TestAProcessorThatAcceptsForItselfReadsHeaders(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Accept, cfg.Conns.PerIPMax = kring.AcceptPerProcessor, 1
		s := servertest.Start(t, trusting(cfg), &whose{})
		c := forwarded(t, s, forwardedClient)
		c.Send("who")
		if got := c.Receive(); !strings.HasPrefix(got, forwardedClient) {
			t.Errorf("answer %q", got)
		}
		forwarded(t, s, forwardedClient).AwaitClose()
		forwarded(t, s, "192.0.2.99:1").Ask("another", "another")
	})
}
