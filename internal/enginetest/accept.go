package enginetest

import (
	"net/netip"
	"sync"
	"syscall"
	"time"

	"kring/engine"
)

var acceptProperties = []property{
	{name: "AcceptDeliversEveryConnection", run: acceptDeliversEveryConnection},
	{name: "AcceptCancelEndsExactlyOnce", run: acceptCancelEndsExactlyOnce},
	{name: "AcceptCancelledInABurstLosesNoConnection", run: acceptCancelledInABurstLosesNoConnection},
	{name: "AcceptedDescriptorWorksOnAnotherEngine", run: acceptedDescriptorWorksOnAnotherEngine},
	{name: "AddrsAreThoseOfThePeer", run: addrsAreThoseOfThePeer},
	{name: "ConfiguredConnectionWorks", run: configuredConnectionWorks},
	{name: "ListenerDiscardRefusesNewConnections", run: listenerDiscardRefusesNewConnections},
}

// burst dials n connections from several goroutines and returns their addresses.
func (o *owner) burst(to netip.AddrPort, n int) (locals func() map[netip.AddrPort]bool, done *task) {
	var mu sync.Mutex
	var peers []Peer
	const dialers = 8
	done = o.peer("dialing", func() error {
		var wg sync.WaitGroup
		errs := make(chan error, dialers)
		for i := range dialers {
			wg.Go(func() {
				for range n/dialers + min(1, max(0, n%dialers-i)) {
					p, err := o.suite.dial(o.net, to)
					if err != nil {
						errs <- err
						return
					}
					mu.Lock()
					peers = append(peers, p)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	})
	return func() map[netip.AddrPort]bool {
		mu.Lock()
		defer mu.Unlock()
		o.peers = append(o.peers, peers...)
		all := map[netip.AddrPort]bool{}
		for _, p := range peers {
			all[localOf(p)] = true
		}
		return all
	}, done
}

// same demands that the accepted descriptors are exactly those of the dialed peers.
func (d *door) same(dialed map[netip.AddrPort]bool) {
	o := d.o
	o.Helper()
	for _, fd := range d.accepted {
		remote := d.remote(fd)
		if !dialed[remote] {
			o.Fatalf("fd %d is of %v, which never dialed or was accepted before", fd, remote)
		}
		delete(dialed, remote)
	}
	if len(dialed) > 0 {
		o.Fatalf("%d connections were never accepted", len(dialed))
	}
}

// Kafka: Q-5.
func acceptDeliversEveryConnection(o *owner) {
	const n = 200
	d := o.listen()
	locals, done := o.burst(d.listener.Addr, n)
	o.until("200 connections", func() bool { return len(d.accepted) == n })
	o.await(done)
	d.same(locals())
}

func acceptCancelEndsExactlyOnce(o *owner) {
	d := o.listen()
	o.poll(0)
	d.cancel()
	d.cancel()
	o.until("accept ended", func() bool { return !d.armed })
	if len(d.ends) != 1 || syscall.Errno(-d.ends[0]) != syscall.ECANCELED {
		o.Fatalf("a cancelled accept ended with %v", d.ends)
	}
	d.cancel() // nothing is outstanding
	o.quiet("accept was cancelled")
	d.arm()
	d.cancel() // in the same Poll
	o.until("accept ended again", func() bool { return !d.armed })
	d.arm()
	c := o.connect(d)
	c.stream()
	c.say(10)
	o.await(o.peer("reading", func() error { return c.out.readFrom(c.peer, 0, 10) }))
}

func acceptCancelledInABurstLosesNoConnection(o *owner) {
	const n = 120
	d := o.listen()
	locals, done := o.burst(d.listener.Addr, n)
	for len(d.accepted) < n {
		before := len(d.accepted)
		o.until("more connections", func() bool { return len(d.accepted) > before || len(d.accepted) == n })
		d.cancel()
		o.until("accept ended", func() bool { return !d.armed })
		d.arm()
	}
	o.await(done)
	d.same(locals())
}

// acceptedDescriptorWorksOnAnotherEngine runs the acceptor's engine on another
// goroutine, as the server does.
func acceptedDescriptorWorksOnAnotherEngine(o *owner) {
	l, err := o.net.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		o.Fatal(err)
	}
	const n = 20
	fds := make(chan engine.FD, n)
	acceptor := o.peer("accepting on an engine of its own", func() error {
		defer close(fds)
		return acceptOn(o.net, l.FD, n, func(fd engine.FD) {
			fds <- fd
			o.e.Wake()
		})
	})
	for range n {
		p := o.dial(l.Addr)
		var fd engine.FD
		o.until("a descriptor from the acceptor", func() (ok bool) {
			select {
			case fd, ok = <-fds:
			default:
			}
			return ok
		})
		c := o.adopt(fd, p)
		c.stream()
		c.say(1000)
		o.await(o.peer("exchanging", func() error {
			if err := c.in.writeTo(p, 0, 1000, always(1000)); err != nil {
				return err
			}
			return c.out.readFrom(p, 0, 1000)
		}))
		o.until("1000 bytes", func() bool { return c.received == 1000 })
	}
	o.await(acceptor)
}

// acceptOn accepts n connections with an engine of its own and closes both.
func acceptOn(network engine.Network, fd engine.FD, n int, accepted func(engine.FD)) error {
	e, err := network.Open(engine.WaitParked)
	if err != nil {
		return err
	}
	token := engine.MakeToken(0, 0)
	e.Accept(fd, token)
	var done [4]engine.Completion
	for armed := true; armed; {
		k, err := e.Poll(done[:], patience)
		if err != nil {
			return err
		}
		for _, c := range done[:k] {
			if c.Res >= 0 {
				accepted(engine.FD(c.Res))
				n--
			}
			switch {
			case !c.More && n > 0:
				e.Accept(fd, token)
			case !c.More:
				armed = false
			case n == 0:
				e.Cancel(fd, token)
			}
		}
	}
	network.Discard(fd)
	return e.Close()
}

func addrsAreThoseOfThePeer(o *owner) {
	d := o.listen()
	c := o.connect(d)
	local, _, err := o.net.Addrs(c.fd)
	if err != nil {
		o.Fatal(err)
	}
	if remote := d.remote(c.fd); remote != localOf(c.peer) {
		o.Errorf("remote is %v, the peer's own is %v", remote, localOf(c.peer))
	}
	if local.Port() != d.listener.Addr.Port() || d.listener.Addr.Port() == 0 {
		o.Errorf("local is %v, the listener's is %v", local, d.listener.Addr)
	}
}

func configuredConnectionWorks(o *owner) {
	c := o.pair()
	for _, s := range []engine.SocketOptions{
		{}, {KeepAlive: -1}, {KeepAlive: time.Minute, SendBufferBytes: 64 << 10, ReceiveBufferBytes: 64 << 10},
	} {
		if err := o.net.Configure(c.fd, s); err != nil {
			o.Fatalf("%+v: %v", s, err)
		}
	}
	c.stream()
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 300_000, mixed(1)) }))
	o.until("300,000 bytes", func() bool { return c.received == 300_000 })
}

func listenerDiscardRefusesNewConnections(o *owner) {
	d := o.listen()
	c := o.connect(d)
	d.close()
	if p, err := o.suite.dial(o.net, d.listener.Addr); err == nil {
		_ = p.Close()
		o.Fatal("a closed listener was dialed")
	}
	c.stream() // what was accepted before lives on
	o.await(o.peer("writing", func() error { return c.in.writeTo(c.peer, 0, 100, always(7)) }))
	o.until("100 bytes", func() bool { return c.received == 100 })
}
