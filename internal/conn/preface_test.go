package conn

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/capacity"
	"kring/internal/conn/conntest"
	"kring/internal/proxyproto/proxytest"
	"kring/reqchan"
)

const (
	forwarder = "10.1.1.1:40000"
	balancer  = "10.1.1.2:9092"
	client    = "192.0.2.7:1234"
	public    = "198.51.100.1:9092"
)

// forwardedLoop opens a connection that begins with a preface, or must not.
func forwardedLoop(t testing.TB, s Settings, before engine.Preface, handle func(reqchan.Request)) (l *testLoop, opened *[]*reqchan.Conn) {
	l = newTestLoop(t, s, handle)
	l.end()
	l.over, l.why, l.wanted, l.conn = false, 0, nil, &Conn{}
	opened = new([]*reqchan.Conn)
	l.shared.cfg.Opened = func(c *reqchan.Conn) { *opened = append(*opened, c) }
	l.shared.cfg.Refused = func(_ *reqchan.Conn, why reqchan.CloseReason) { l.why = why }
	l.shared.cfg.Held = capacity.New(1 << 20)
	info := &reqchan.Conn{Remote: netip.MustParseAddrPort(forwarder), Local: netip.MustParseAddrPort(balancer)}
	l.conn.Open(l.shared, testToken, info, l.from, before)
	l.conn.ApplySettings()
	l.wants("opened", "receive")
	return l, opened
}

// ended has the connection's last completions come, and says why it ended.
func (l *testLoop) ended() reqchan.CloseReason {
	l.t.Helper()
	if l.conn.life < ending {
		l.t.Fatalf("it is %v", l.conn.life)
	}
	if l.conn.in.receive.up() {
		l.receiveEnds(0)
	}
	l.conn.Closed()
	l.over = true
	return l.why
}

func TestAHeaderInAnyPiecesMakesTheConnectionItsClients(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0x9a0))
		header := proxytest.V1(client, public)
		if seed%2 == 0 {
			header = proxytest.V2(client, public, proxytest.TLV(0x02, strings.Repeat("n", r.IntN(300))))
		}
		big := strings.Repeat("b", 64<<10)
		wire := slices.Concat(header, testFrame("one"), testFrame(big), testFrame("two"))
		var seen []string
		var l *testLoop
		l, opened := forwardedLoop(t, Settings{}, engine.PrefaceRequired, func(q reqchan.Request) {
			c := q.Conn()
			if c.Remote.String() != client || c.Local.String() != public || c.Proxy().Remote.String() != forwarder || c.Proxy().Local.String() != balancer {
				t.Fatalf("seed %d: a request of %v to %v, forwarded by %+v", seed, c.Remote, c.Local, c.Proxy())
			}
			seen = append(seen, string(q.Payload()))
			q.NoResponse()
		})
		came := 0
		for len(wire) > 0 {
			if l.conn.in.receive != receiveStream { // the big frame's own memory
				n := min(len(wire), len(l.into), 1+r.IntN(20_000))
				l.fill(wire[:n])
				wire, came = wire[n:], came+n
				continue
			}
			n := min(len(wire), 1+r.IntN(1<<r.IntN(18)))
			if came+n < len(header) && len(*opened) > 0 {
				t.Fatalf("seed %d: it is told of after %d bytes of a header of %d", seed, came, len(header))
			}
			l.receive(wire[:n], true)
			wire, came = wire[n:], came+n
			for l.conn.in.cancelled {
				l.receiveEnds(-int32(125)) // ECANCELED
			}
		}
		if !slices.Equal(seen, []string{"one", big, "two"}) || len(*opened) != 1 {
			t.Fatalf("seed %d: %d requests, told of %d times", seed, len(seen), len(*opened))
		}
		if got := l.conn.in.bytes; got != uint64(came) {
			t.Errorf("seed %d: %d bytes are counted of %d", seed, got, came)
		}
		l.end()
		if n := l.shared.cfg.Held.Used(); n != 0 {
			t.Errorf("seed %d: %d bytes are held at the end", seed, n)
		}
	}
}

func TestWhatIsNoHeaderEndsTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		bytes  string
		before engine.Preface
		why    reqchan.CloseReason
		detail string
	}{
		"a frame":     {string(testFrame("x")), engine.PrefaceRequired, reqchan.ProxyHeaderMissing, "does not begin with"},
		"TLS":         {"\x16\x03\x01\x00\x05", engine.PrefaceRequired, reqchan.ProxyHeaderMissing, "does not begin with"},
		"malformed":   {"PROXY TCP4 1\r\n", engine.PrefaceRequired, reqchan.ProxyHeaderMalformed, "3 words"},
		"untrusted 1": {string(proxytest.V1(client, public)), engine.PrefaceForbidden, reqchan.ProxyHeaderUntrusted, ""},
		"untrusted 2": {string(proxytest.V2(client, public)), engine.PrefaceForbidden, reqchan.ProxyHeaderUntrusted, ""},
	} {
		for _, size := range []int{1, 7, 1000} {
			l, opened := forwardedLoop(t, Settings{}, c.before, echo)
			info := l.conn.info
			for rest := []byte(c.bytes); len(rest) > 0 && l.conn.life < ending; {
				n := min(size, len(rest))
				l.receive(rest[:n], true)
				rest = rest[n:]
			}
			if why := l.ended(); why != c.why || len(*opened) > 0 {
				t.Errorf("%s, pieces of %d: it ended for %v, told of %d times", name, size, why, len(*opened))
			}
			if d := info.EndDetail(); c.detail != "" && (d == nil || !strings.Contains(d.Error(), c.detail)) {
				t.Errorf("%s: %v, want %q", name, d, c.detail)
			}
			l.end()
		}
	}
}

// A connection that must not begin with a header loses none of the bytes by which that was
// found out.
func TestWithoutAHeaderThatMustNotBeNothingIsLost(t *testing.T) {
	for _, size := range []int{1, 2, 5, 100} {
		var seen []string
		l, opened := forwardedLoop(t, Settings{FrameBytesMax: 1 << 30}, engine.PrefaceForbidden, func(q reqchan.Request) {
			seen = append(seen, string(q.Payload()))
			q.NoResponse()
		})
		wire := append(testFrame("one"), testFrame("two")...)
		for len(wire) > 0 {
			n := min(size, len(wire))
			l.receive(wire[:n], true)
			wire = wire[n:]
		}
		if !slices.Equal(seen, []string{"one", "two"}) || len(*opened) != 1 || l.conn.info.Proxy() != nil || l.conn.info.Remote.String() != forwarder {
			t.Errorf("pieces of %d: %q, told of %d times, of %v", size, seen, len(*opened), l.conn.info.Remote)
		}
		l.end()
	}
	// The size of a frame may begin as a header does, and its fourth byte differ.
	l, _ := forwardedLoop(t, Settings{FrameBytesMax: 1 << 30, BigFrameBytes: 1 << 30}, engine.PrefaceForbidden, echo)
	for _, b := range []byte("\r\n\r\x01") {
		l.receive([]byte{b}, true)
	}
	if got := l.conn.in.frames.Size(); got != 0x0d0a0d01 {
		t.Errorf("a frame of %#x bytes is begun", got)
	}
	l.end()
}

func TestAForwarderThatSpeaksForItselfHasNoBoundAndLeavesQuietly(t *testing.T) {
	for _, header := range [][]byte{proxytest.Local(), []byte("PROXY UNKNOWN\r\n")} {
		l, opened := forwardedLoop(t, Settings{}, engine.PrefaceRequired, echo)
		l.receive(header, true)
		l.wants("its header came") // and nobody was asked to judge it
		if c := l.conn.info; len(*opened) != 1 || c.Remote.String() != forwarder || !c.Proxy().ForItself() {
			t.Fatalf("%q: told of %d times, %v", header, len(*opened), c.Remote)
		}
		l.receive(testFrame("health"), true)
		l.flush()
		l.sent(len(l.sending))
		l.receiveEnds(0)
		if why := l.ended(); why != reqchan.PeerFinished {
			t.Errorf("%q: it ended for %v", header, why)
		}
		l.end()
	}
}

func TestAnEndInAPrefaceIsToldApart(t *testing.T) {
	for sent, want := range map[string]reqchan.CloseReason{"": reqchan.PeerFinished, "PROXY TC": reqchan.ProxyHeaderMalformed} {
		l, opened := forwardedLoop(t, Settings{}, engine.PrefaceRequired, echo)
		if sent != "" {
			l.receive([]byte(sent), true)
		}
		l.receiveEnds(0)
		if why := l.ended(); why != want || len(*opened) != 0 {
			t.Errorf("after %q it ended for %v, told of %d times", sent, why, len(*opened))
		}
		l.end()
	}
}

func TestAClientOverItsBoundIsClosedOrHeldOpen(t *testing.T) {
	for _, c := range []struct {
		verdict engine.Verdict
		hold    time.Duration
		why     reqchan.CloseReason
	}{{engine.OverCount, 0, reqchan.AddressFull}, {engine.OverRate, 0, reqchan.AddressRate}, {engine.OverRate, time.Second, reqchan.AddressRate}} {
		l, opened := forwardedLoop(t, Settings{IdleTimeout: time.Minute, ProxyTimeout: time.Millisecond}, engine.PrefaceRequired, echo)
		l.verdict, l.hold = c.verdict, c.hold
		l.receive(append(proxytest.V2(client, public), testFrame("never served")...), true)
		if c.hold > 0 {
			l.wants("over its rate", "identify 192.0.2.7", "cancel")
			if l.conn.Resting() || l.conn.state() != Preface || l.conn.mutedBy() != MutedParked || l.alarm != 1+int64(c.hold) {
				t.Errorf("it rests, or is %v for %v, until %d", l.conn.state(), l.conn.mutedBy(), l.alarm)
			}
			l.receiveEnds(-125)
			l.wants("parked")
			l.shared.Tick(l.alarm, 0)
			if !l.conn.Expire() {
				t.Error("its header is late")
			}
			l.conn.AlarmRang()
		}
		if why := l.ended(); why != c.why || len(*opened) != 0 {
			t.Errorf("it ended for %v, not %v, told of %d times", why, c.why, len(*opened))
		}
		l.end()
	}
}

func TestAHeaderHasADeadlineThatDrippingDoesNotMove(t *testing.T) {
	const timeout = int64(time.Second)
	for _, c := range []struct {
		before engine.Preface
		drips  bool
	}{{engine.PrefaceRequired, false}, {engine.PrefaceRequired, true}, {engine.PrefaceForbidden, true}} {
		l, _ := forwardedLoop(t, Settings{ProxyTimeout: time.Duration(timeout)}, c.before, echo)
		header := []byte("\r\n\r\n\x00\r\nQUIT")
		now, end := int64(1), int64(0)
		for i := 0; end == 0; i++ {
			now += timeout / 10
			l.shared.Tick(now, 0)
			if c.drips {
				l.seen.Unread = 1
				if i < len(header) {
					l.receive(header[i:i+1], true)
				}
			}
			if !l.conn.Expire() {
				end = now
			}
			if now > 10*timeout {
				t.Fatalf("%+v: it is still there", c)
			}
		}
		if end < timeout || end > 5*timeout/2 {
			t.Errorf("%+v: it ended after %v", c, time.Duration(end))
		}
		if why := l.ended(); why != reqchan.ProxyHeaderTimeout {
			t.Errorf("%+v: it ended for %v", c, why)
		}
		l.end()
	}
}

// TestWhoMustNotSendAHeaderAndSendsNothingHasADeadline: that of its handshake or of its
// authentication, as where no header could come.
func TestWhoMustNotSendAHeaderAndSendsNothingHasADeadline(t *testing.T) {
	transport := func(*reqchan.Conn, func()) Transport { return conntest.NewServer(func() {}) }
	for _, c := range []struct {
		set Settings
		why reqchan.CloseReason
	}{
		{Settings{HandshakeTimeout: time.Second, Transport: transport}, reqchan.HandshakeTimeout},
		{Settings{AuthTimeout: time.Second, FrameBytesMaxUnauthenticated: 100}, reqchan.AuthenticationTimeout},
		{Settings{AuthTimeout: time.Second, FrameBytesMaxUnauthenticated: 100, HandshakeTimeout: time.Minute, Transport: transport}, reqchan.AuthenticationTimeout},
		{Settings{HandshakeTimeout: time.Second}, reqchan.ReasonNone},
	} {
		l, _ := forwardedLoop(t, c.set, engine.PrefaceForbidden, echo)
		l.shared.Tick(int64(time.Second)/2, 0)
		if !l.conn.Expire() {
			t.Fatalf("for %v it ended early", c.why)
		}
		l.shared.Tick(int64(2*time.Second), 0)
		if !l.conn.Expire() {
			t.Errorf("for %v it ended without a second look", c.why)
		}
		l.shared.Tick(int64(3*time.Second), 0)
		if on := l.conn.Expire(); on != (c.why == reqchan.ReasonNone) {
			t.Errorf("for %v it goes on: %v", c.why, on)
		}
		if c.why != reqchan.ReasonNone {
			if why := l.ended(); why != c.why {
				t.Errorf("it ended for %v, want %v", why, c.why)
			}
		}
		l.end()
	}
}

// TestHalfHeadersHaveABoundOverAllConnections: their memory counts as held, and whoever
// brings more than may be held is closed.
func TestHalfHeadersHaveABoundOverAllConnections(t *testing.T) {
	l, _ := forwardedLoop(t, Settings{}, engine.PrefaceRequired, echo)
	l.shared.cfg.Held = capacity.New(64 << 10)
	long := proxytest.V2(client, public, proxytest.TLV(0x04, strings.Repeat("x", 3900)))
	conns := []*Conn{l.conn}
	for range 1000 {
		c := &Conn{}
		c.Open(l.shared, testToken, &reqchan.Conn{}, l.from, engine.PrefaceRequired)
		c.in.receive = receiveStream
		conns = append(conns, c)
	}
	refused := 0
	for _, c := range conns {
		c.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: 100, Data: bytes.Clone(long[:100]), More: true})
		if c.life >= ending {
			refused++
		}
		if most := l.shared.cfg.Held.Used(); most > 5*(64<<10) {
			t.Fatalf("%d bytes are held", most)
		}
	}
	if refused < 900 {
		t.Errorf("%d of %d were refused", refused, len(conns))
	}
	for _, c := range conns[1:] {
		c.terminate(reqchan.Evicted)
		c.in.receive = receiveNone
		c.join()
		c.Closed()
	}
	l.end()
	l.shared.giveHeldBack()
	if n := l.shared.cfg.Held.Used(); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

func TestAConnectionGoesOnElsewhereInTheMiddleOfItsHeader(t *testing.T) {
	header := proxytest.V2(client, public, proxytest.TLV(0x02, strings.Repeat("n", 300)))
	for cut := 1; cut < len(header); cut += 7 {
		l, opened := forwardedLoop(t, Settings{}, engine.PrefaceRequired, echo)
		l.receive(header[:cut], true)
		if !l.conn.Resting() {
			t.Fatalf("after %d bytes it does not rest", cut)
		}
		l.conn.Migrate()
		l.receiveEnds(-125)
		if !l.conn.CanMigrate() {
			t.Fatalf("after %d bytes it does not leave", cut)
		}
		m := l.conn.Detach()
		l.conn.Attach(l.shared, testToken, m)
		l.conn.ApplySettings()
		l.receive(append(bytes.Clone(header[cut:]), testFrame("one")...), true)
		l.flush()
		if string(l.sending) != string(testFrame("one")) || len(*opened) != 1 || l.conn.info.Remote.String() != client {
			t.Fatalf("after %d bytes: answer %q, told of %d times, of %v", cut, l.sending, len(*opened), l.conn.info.Remote)
		}
		l.sent(len(l.sending))
		l.end()
	}
}

func TestADrainInAPrefaceEndsIt(t *testing.T) {
	l, opened := forwardedLoop(t, Settings{}, engine.PrefaceRequired, echo)
	l.receive([]byte("PROXY"), true)
	l.shared.EnterPhase(Draining)
	l.conn.ApplySettings()
	if why := l.ended(); why != reqchan.ServerDraining || len(*opened) != 0 {
		t.Errorf("it ended for %v", why)
	}
	l.end()
}

// The transport begins behind the header: with the first byte that is not the header's, and
// by what the header says.
func TestATransportBeginsBehindTheHeader(t *testing.T) {
	var of string
	moved := make(chan struct{})
	s := Settings{Transport: func(info *reqchan.Conn, _ func()) Transport {
		of = info.Remote.String()
		return conntest.NewServer(func() { close(moved) })
	}}
	l, _ := forwardedLoop(t, s, engine.PrefaceRequired, echo)
	of = "" // there was another
	wire := &pipe{}
	c, _ := conntest.NewClient(wire)
	header := proxytest.V1(client, public)
	l.receive(header[:20], true)
	if of != "" {
		t.Fatalf("there is a transport for %s before the header", of)
	}
	l.receive(append(bytes.Clone(header[20:]), wire.out.Next(2)...), true)
	if of != client {
		t.Fatalf("the transport is for %q", of)
	}
	l.receive(wire.out.Next(100), true)
	<-moved
	l.conn.transportMoved()
	l.carry(wire, nil)
	_, _ = c.Write(testFrame("one"))
	l.receive(wire.out.Next(1000), true)
	l.carry(wire, nil)
	if b := make([]byte, 7); func() bool { n, _ := c.Read(b); return string(b[:n]) != string(testFrame("one")) }() {
		t.Errorf("answer %q", b)
	}
	l.end()
}
