package enginetest

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"kring/engine"
)

var connectProperties = []property{
	{name: "ConnectedDescriptorCarriesBytes", run: connectedDescriptorCarriesBytes},
	{name: "ConnectThatIsRefusedSaysSo", run: connectThatIsRefusedSaysSo},
	{name: "ConnectToWhereNoRouteLeadsSaysSo", run: connectToWhereNoRouteLeadsSaysSo},
	{name: "ConnectIsCancelledWhilePending", run: connectIsCancelledWhilePending, unless: nobodyIsSilent},
	{name: "ConnectIsCancelledInTheSamePoll", run: connectIsCancelledInTheSamePoll, unless: nobodyIsSilent},
	{name: "ShutdownEndsAPendingConnect", run: shutdownEndsAPendingConnect, unless: nobodyIsSilent},
	{name: "CancelOfAConnectedOneDoesNothing", run: cancelOfAConnectedOneDoesNothing},
	{name: "ManyConnectsAtOnceAllEnd", run: manyConnectsAtOnceAllEnd},
	{name: "ConnectsLeaveOthersAlone", run: connectsLeaveOthersAlone},
	{name: "ConnectWithoutADescriptorSaysSo", run: connectWithoutADescriptorSaysSo, unless: func(s *suite) bool { return s.exhaust == nil }},
	{name: "ConnectedDescriptorWorksOnAnotherEngine", run: connectedDescriptorWorksOnAnotherEngine},
	{name: "EngineCloseWithConnectsOutstandingFreesEverything", run: engineCloseWithConnects, unless: nobodyIsSilent},
}

func nobodyIsSilent(s *suite) bool { return !canBeSilent && !s.listensItself }

// connects begins to connect to an address.
func (o *owner) connects(to netip.AddrPort) *conn {
	o.Helper()
	fd, err := o.net.Socket(to, engine.SocketOptions{})
	if err != nil {
		o.Fatalf("socket for %v: %v", to, err)
	}
	c := o.adopt(fd, nil)
	c.connect(to)
	return c
}

func (c *conn) connect(to netip.AddrPort) {
	c.connecting = true
	c.o.e.Connect(c.fd, c.token, to)
}

func (c *conn) completeConnect(d *engine.Completion) {
	c.o.Helper()
	if !c.connecting || d.More || d.Res > 0 {
		c.o.Fatalf("connect res %d more %t of %s, which connects: %t", d.Res, d.More, c.token, c.connecting)
	}
	c.connecting = false
	c.connects = append(c.connects, d.Res)
}

// ended waits for the end of a connect, and wants one of these errnos, 0 for none.
func (c *conn) ended(want ...syscall.Errno) {
	o := c.o
	o.Helper()
	o.until("connect of "+c.token.String()+" ended", func() bool { return !c.connecting })
	got := syscall.Errno(-c.connects[len(c.connects)-1])
	for _, w := range want {
		if got == w {
			return
		}
	}
	o.Fatalf("connect ended with %d (%v), want %v", int(got), got, want)
}

// answering is a listener of peers.
func (o *owner) answering(silent bool) PeerListener {
	o.Helper()
	l, err := o.suite.listen(o.net, silent)
	if err != nil {
		o.Fatalf("listen for connections of the engine: %v", err)
	}
	o.listeners = append(o.listeners, l)
	return l
}

// refusing is an address that refuses connections until the story ends. Where bindRefusing is
// missing, it was a listener's, and another process may get it.
func (o *owner) refusing() netip.AddrPort {
	o.Helper()
	if bindRefusing != nil && !o.suite.listensItself {
		l, err := bindRefusing()
		if err != nil {
			o.Fatal(err)
		}
		o.listeners = append(o.listeners, l)
		return l.AddrPort()
	}
	l := o.answering(false)
	if err := l.Close(); err != nil {
		o.Fatal(err)
	}
	return l.AddrPort()
}

// met gives c its other end.
func (o *owner) met(c *conn, l PeerListener) {
	o.Helper()
	o.await(o.peer("accepting", func() (err error) {
		c.peer, err = l.Accept()
		return err
	}))
	o.peers = append(o.peers, c.peer)
}

// exchanges demands that both directions of a connection work.
func (o *owner) exchanges(c *conn) {
	o.Helper()
	const total = 100_000
	c.stream()
	c.say(total)
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, total, always(7777)) }),
		o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, total) }))
	o.until("all received", func() bool { return c.received == total })
}

func connectedDescriptorCarriesBytes(o *owner) {
	l := o.answering(false)
	c := o.connects(l.AddrPort())
	c.ended(0)
	o.met(c, l)
	local, remote, err := o.net.Addrs(c.fd)
	if err != nil || remote != l.AddrPort() || local != netip.MustParseAddrPort(c.peer.RemoteAddr().String()) {
		o.Errorf("the ends are %v and %v (%v), want %v and %v", local, remote, err, c.peer.RemoteAddr(), l.AddrPort())
	}
	o.exchanges(c)
}

func connectThatIsRefusedSaysSo(o *owner) {
	o.connects(o.refusing()).ended(syscall.ECONNREFUSED)
	o.quiet("the connect has ended")
}

func connectToWhereNoRouteLeadsSaysSo(o *owner) {
	c := o.connects(netip.MustParseAddrPort("255.255.255.255:9"))
	c.ended(syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EADDRNOTAVAIL)
}

func connectIsCancelledWhilePending(o *owner) {
	c := o.connects(o.answering(true).AddrPort())
	o.quiet("nobody answers")
	c.cancel()
	c.cancel()
	c.ended(syscall.ECANCELED)
	c.cancel()
	o.quiet("the connect was cancelled")
}

func connectIsCancelledInTheSamePoll(o *owner) {
	c := o.connects(o.answering(true).AddrPort())
	c.cancel()
	c.ended(syscall.ECANCELED)
}

func shutdownEndsAPendingConnect(o *owner) {
	c := o.connects(o.answering(true).AddrPort())
	o.quiet("nobody answers")
	o.e.Shutdown(c.fd, c.token)
	o.e.Shutdown(c.fd, c.token)
	c.ended(syscall.ECANCELED)
	o.quiet("the connect was ended")
}

func cancelOfAConnectedOneDoesNothing(o *owner) {
	l := o.answering(false)
	c := o.connects(l.AddrPort())
	c.ended(0)
	c.cancel()
	o.met(c, l)
	o.exchanges(c)
}

// manyConnectsAtOnceAllEnd has more connects outstanding than a queue of the engine holds,
// and than a Poll returns.
func manyConnectsAtOnceAllEnd(o *owner) {
	n := 1000
	if o.suite.light {
		n = 150
	}
	l := o.answering(false)
	accepted := o.peer("accepting", func() error {
		for range n {
			p, err := l.Accept()
			if err != nil {
				return err
			}
			if err := p.Reset(); err != nil {
				return err
			}
		}
		return nil
	})
	var all []*conn
	for range n {
		all = append(all, o.connects(l.AddrPort()))
	}
	for _, c := range all {
		c.ended(0, syscall.ECONNRESET) // the peer may reset it before it is told
	}
	o.await(accepted)
}

// connectsLeaveOthersAlone connects and is refused while another connection is served.
func connectsLeaveOthersAlone(o *owner) {
	c := o.pair()
	l := o.answering(false)
	nobody := o.refusing()
	c.stream()
	const rounds, each = 20, 3000
	for i := range int64(rounds) {
		good, bad := o.connects(l.AddrPort()), o.connects(nobody)
		c.say(each)
		o.await(o.peer("exchanging", func() error {
			if err := c.in.writeTo(c.peer, i*each, each, always(each)); err != nil {
				return err
			}
			return c.out.readFrom(c.peer, i*each, each)
		}))
		bad.ended(syscall.ECONNREFUSED)
		good.ended(0)
		o.met(good, l)
		bad.end()
		good.end()
	}
	o.until("all received", func() bool { return c.received == rounds*each })
}

func connectWithoutADescriptorSaysSo(o *owner) {
	l := o.answering(false)
	restore, err := o.suite.exhaust(o.net)
	if err != nil {
		o.Fatal(err)
	}
	fd, err := o.net.Socket(l.AddrPort(), engine.SocketOptions{})
	if err != nil { // the engines with sockets say it here, the others when they connect
		restore()
		if !errors.Is(err, syscall.EMFILE) {
			o.Fatalf("a socket without a descriptor: %v, want EMFILE", err)
		}
	} else {
		c := o.adopt(fd, nil)
		c.connect(l.AddrPort())
		o.until("connect ended", func() bool { return !c.connecting })
		restore()
		c.ended(syscall.EMFILE)
	}
	c := o.connects(l.AddrPort())
	c.ended(0)
	o.met(c, l)
	o.exchanges(c)
}

func connectedDescriptorWorksOnAnotherEngine(o *owner) {
	l := o.answering(false)
	connected := make(chan engine.FD, 1)
	o.await(o.peer("connecting on an engine of its own", func() error {
		fd, err := connectOn(o.net, l.AddrPort())
		connected <- fd
		return err
	}))
	c := o.adopt(<-connected, nil)
	o.met(c, l)
	o.exchanges(c)
}

// connectOn connects with an engine of its own, and closes that.
func connectOn(network engine.Network, to netip.AddrPort) (fd engine.FD, err error) {
	e, err := network.Open(engine.WaitParked)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if fd, err = network.Socket(to, engine.SocketOptions{}); err != nil {
		return -1, err
	}
	token := engine.MakeToken(0, 0)
	e.Connect(fd, token, to)
	var done [1]engine.Completion
	for {
		n, err := e.Poll(done[:], patience)
		if err != nil {
			return fd, err
		}
		if n == 1 {
			e.Detach(fd, token)
			if done[0].Res != 0 {
				return fd, done[0].Errno()
			}
			return fd, nil
		}
	}
}

func engineCloseWithConnects(o *owner) {
	silent := o.answering(true).AddrPort()
	var all []*conn
	for range 20 {
		all = append(all, o.connects(silent))
	}
	o.poll(0)
	all = append(all, o.connects(silent)) // not submitted yet
	o.closeEngine()
	for _, c := range all {
		o.net.Discard(c.fd)
	}
	o.endPeers()
	o.ended = true
}

// tcpListener is a PeerListener on the system's own TCP.
type tcpListener struct {
	net.Listener
	filled net.Conn // what a silent one's queue is full of
}

func (l *tcpListener) AddrPort() netip.AddrPort {
	return netip.MustParseAddrPort(l.Addr().String())
}

func (l *tcpListener) Accept() (Peer, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tcpPeer{c.(*net.TCPConn)}, nil
}

func (l *tcpListener) Close() error {
	if l.filled != nil {
		_ = l.filled.Close()
	}
	return l.Listener.Close()
}

func listenTCP(_ engine.Network, silent bool) (PeerListener, error) {
	if silent {
		return listenSilent()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &tcpListener{Listener: l}, nil
}
