package kring

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"time"

	"kring/engine"
	"kring/internal/tlsconn"
	"kring/processor"
	"kring/reqchan"
)

// UpstreamConfig says where a connection leads that a Server makes, and within which bounds.
type UpstreamConfig struct {
	// Address is host:port. A name is resolved beside the processors, and its addresses are
	// tried in the order in which the resolver gives them.
	Address string
	// TLS, if set, has the connection speak TLS. Without a ServerName the host of Address
	// is it. It must not be changed afterwards.
	TLS *tls.Config
	// Near is the processor (Conn.Processor) that the connection is to live on, so that
	// what goes to and fro between it and the connections there costs no wakeup. -1: the
	// one that has fewest.
	Near int
	// FrameBytesMax is the largest frame that may come, without its size; 0 means as
	// Limits.FrameBytesMax of Config.
	FrameBytesMax int
	// OpenTimeout is how long it may take until Opened: resolving, connecting, the TLS
	// handshake. FrameTimeout is how long nothing of a frame may come that has begun,
	// WriteTimeout how long the peer may take nothing of what is sent, IdleTimeout how long
	// nothing may be received or sent at all. 0: for ever.
	OpenTimeout, FrameTimeout, WriteTimeout, IdleTimeout time.Duration
	// Socket options of the connection.
	Socket engine.SocketOptions
}

// UpstreamEvents is told of one Upstream. Its methods are called one at a time, on the
// goroutine of the processor that the connection lives on (if it never lived, on one of the
// Server's), and must not block. One that panics costs the connection (Stats.WatcherPanics).
type UpstreamEvents interface {
	// Opened: it is connected, with its TLS handshake.
	Opened()
	// FrameBegins: a frame of size bytes (without its size field) has begun to come, and
	// lies nowhere yet; a frame that came at once is not asked for. correlationID are its
	// first four bytes. into, if not nil, is where it is to be received, from these on: at
	// least size bytes of Request.Buffer, of which Request.Owns is true. It is the Server's
	// until Frame or Closed, and the kernel writes there meanwhile: so the Request must not
	// be answered before. nil: it is received to memory of the Server's own. An error closes
	// the connection, for that. There is room in Memory.ResponseBytesMax by then: a frame of
	// more than 16 KiB waits for it, unread, for FrameTimeout at most, and one that is larger
	// than all of it ends the connection (ReasonResponseMemoryFull). So Requests that are
	// forwarded must hold none of it meanwhile: call Request.PaceResponse first.
	FrameBegins(size int, correlationID int32) (into []byte, err error)
	// Frame: a frame is whole. payload has no size field. It lies in into, or else in memory
	// that is valid until Frame returns, and may be written to.
	Frame(payload []byte)
	// Closed is the last call of these, once, after every end: behind the Done of every
	// UpstreamWrite that was given before the connection ended. One that is given between that
	// and Closed, or later, is done at any time, with begun false: its frame has not left, and
	// may be sent elsewhere. err is what Close was called with, or an *UpstreamError; if it is
	// ErrMemoryHeld as well, an engine has died whose operations could not be ended: the kernel
	// may still write to into, and send from the parts of every UpstreamWrite whose Done had
	// that error. Then call Request.LoseMemory for these, before their answers.
	Closed(err error)
}

// UpstreamWrite is a frame that an Upstream sends: Parts in their order, the first of which
// begins with the frame's size. They are the Server's until Done. A part of up to 4 KiB, and
// any if Copied is set, is copied on its way. Others are sent from where they lie: so they
// must lie in memory of which Request.Owns is true, and that Request must not be answered
// before Done. NoReply says that the peer answers nothing to it: a processor that is taken away
// does not wait for that.
//
// Done, if set, is called once, on the goroutine of UpstreamEvents: with nil when the kernel
// has taken all of the frame, else with why it has not. begun says whether bytes of it may
// have left; a frame of which none has may be sent elsewhere. Done must not block or panic.
type UpstreamWrite = processor.Outgoing

// UpstreamError says why a connection ended that a Server made.
type UpstreamError struct {
	Address string
	// Reason is ReasonBackendFailed when it was never open, ReasonListenerRemoved when its
	// processor was taken away, else as for any connection.
	Reason CloseReason
	// Err is what exactly happened: an errno (connect(2), a reset), io.EOF when the peer
	// ended it between two frames, io.ErrUnexpectedEOF when inside one,
	// context.DeadlineExceeded when it was not open in time, os.ErrDeadlineExceeded when
	// another timeout passed, ErrServerClosed, or an error of crypto/tls.
	Err error
}

// Error names the address, the reason and the error.
func (e *UpstreamError) Error() string {
	return fmt.Sprintf("connection to %s: %v: %v", e.Address, e.Reason, e.Err)
}

// Unwrap is Err.
func (e *UpstreamError) Unwrap() error { return e.Err }

// Upstream is a connection that a Server made: see Server.Connect. Any goroutine may call its
// methods, with locks held: none blocks, and none calls UpstreamEvents or a Done before it has
// returned.
type Upstream struct {
	at      *processor.Upstream
	address string
	server  *Server
	events  UpstreamEvents
}

// Write queues a frame. Frames leave in the order of the calls, those that wait together in
// one send. It may be called before Opened. What is queued is not bounded here: its memory is
// the caller's.
func (u *Upstream) Write(w UpstreamWrite) { u.at.Write(w) }

// Pause has no further frame come, once those were seen that had come together; TCP pushes
// back when more than Limits.HeldBytesMax wait. Resume ends that.
func (u *Upstream) Pause() { u.at.Pause() }

// Resume is beside Pause.
func (u *Upstream) Resume() { u.at.Resume() }

// Close ends the connection at once, whatever it has to send. Closed follows, with why.
func (u *Upstream) Close(why error) { u.at.Close(why) }

// Conn is what there is to know of it: its ends, TLS and ID; nil before Opened.
func (u *Upstream) Conn() *Conn { return u.at.Conn() }

// Connect begins to make a connection to somebody else's server, on the engine of this one, and
// returns at once: the events say what comes of it. The connection lives on one processor, is
// no client (no limit, list or ConnWatcher of clients has it) and ends by Close, with its
// peer, or with the Server: when that shuts down, after all clients have gone. So what a
// Handler does for them can still be done. A processor that Reconfigure takes away ends those
// that owe nobody an answer, and the others after Timeouts.Drain.
//
// Any goroutine, from Start on, with locks held: it does not block, and calls nothing of
// events itself; they may begin on their own goroutine before it has returned.
func (s *Server) Connect(to UpstreamConfig, events UpstreamEvents) *Upstream {
	u := &Upstream{address: to.Address, server: s, events: events}
	u.at = processor.NewUpstream(owner{u})
	d := &dialing{u: u, to: to}
	if to.OpenTimeout > 0 {
		d.openBy = reqchan.Now() + int64(to.OpenTimeout)
	}
	host, port, err := splitAddress(to.Address)
	if err != nil {
		go u.at.Fail(err)
		return u
	}
	d.transport(s, host)
	if a, err := netip.ParseAddr(host); err == nil {
		d.place([]netip.AddrPort{netip.AddrPortFrom(a, port)})
		return u
	}
	go d.resolve(host, port)
	return u
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w: write it as host:port", err)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("address %q: write it as host:port, with a port from 1 to 65535", address)
	}
	return host, uint16(n), nil
}

// dialing is an Upstream on its way to a processor.
type dialing struct {
	u      *Upstream
	to     UpstreamConfig
	openBy int64 // of reqchan.Now; 0: there is no such time
	secure processor.MakeTransport
}

func (d *dialing) transport(s *Server, host string) {
	c := d.to.TLS
	if c == nil {
		return
	}
	if c.ServerName == "" {
		c = c.Clone()
		c.ServerName = host
	}
	d.secure = s.upstreams.shakes.Client(c)
}

// resolve asks for the addresses of a name.
func (d *dialing) resolve(host string, port uint16) {
	ips, err := d.u.server.upstreams.lookUp(host, d.to.OpenTimeout)
	if err != nil {
		d.u.at.Fail(err)
		return
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	d.place(addrs)
}

// place gives it to a processor.
func (d *dialing) place(addrs []netip.AddrPort) {
	s := d.u.server
	cfg := processor.UpstreamConfig{Addrs: addrs, Socket: d.to.Socket, OpenBy: d.openBy, From: processor.NewListener(upstreamListener, false, d.settings())}
	for _, p := range s.forUpstream(d.to.Near) {
		if d.u.at.Start(p, cfg) {
			return
		}
	}
	go d.u.at.Fail(ErrServerClosed)
}

// upstreamListener is Conn.Listener of an Upstream.
const upstreamListener = "upstream"

func (d *dialing) settings() processor.Settings {
	s := d.u.server
	cfg := &s.now().cfg
	set := processor.Settings{
		FrameBytesMax: d.to.FrameBytesMax, BigFrameBytes: cfg.Processors.BigFrameBytes, PackedBytesMax: upstreamPackedMax, PipelineMax: 1,
		HeldBytesMax: cfg.Limits.HeldBytesMax, QueuedBytesMax: cfg.Limits.QueuedResponseBytesMax,
		IdleTimeout: d.to.IdleTimeout, WriteTimeout: d.to.WriteTimeout, FrameTimeout: d.to.FrameTimeout, HandshakeTimeout: d.to.OpenTimeout,
		Transport: d.secure,
	}
	orElse(&set.FrameBytesMax, cfg.Limits.FrameBytesMax)
	return set
}

// upstreamPackedMax is what UpstreamWrite says.
const upstreamPackedMax = 4 << 10

// forUpstream are the processors that serve: first the one that is near, or else the one that
// has fewest, then the others.
func (s *Server) forUpstream(near int) []*processor.Processor {
	all := slices.Clone(s.now().processors)
	first := 0
	for i, p := range all {
		if near >= 0 && p.ID() == uint32(near) {
			first = i
			break
		}
		if p.Upstreams() < all[first].Upstreams() {
			first = i
		}
	}
	if len(all) > 0 {
		all[0], all[first] = all[first], all[0]
	}
	return all
}

// Processors are the ids of the processors that serve, for UpstreamConfig.Near.
func (s *Server) Processors() []uint32 {
	processors := s.now().processors
	ids := make([]uint32, len(processors))
	for i, p := range processors {
		ids[i] = p.ID()
	}
	return ids
}

// owner is what the processor tells.
type owner struct{ u *Upstream }

func (o owner) Opened() {
	defer o.survive()
	o.u.events.Opened()
}

func (o owner) FrameBegins(size int, correlationID int32) (into []byte, err error) {
	defer o.survive()
	err = errEventPanicked
	return o.u.events.FrameBegins(size, correlationID)
}

func (o owner) Frame(payload []byte) {
	defer o.survive()
	o.u.events.Frame(payload)
}

func (o owner) Closed(why reqchan.CloseReason, err error) {
	defer o.survive()
	if why == reqchan.HandlerClosed {
		o.u.events.Closed(err)
		return
	}
	switch {
	case why == reqchan.EngineFailed:
		err = errors.Join(errEngineGone, err)
	case err != nil:
	case why == reqchan.ServerDraining:
		err = ErrServerClosed
	case why == reqchan.ListenerRemoved:
		err = errProcessorGone
	default:
		err = io.EOF
	}
	o.u.events.Closed(&UpstreamError{o.u.address, why, err})
}

var (
	errProcessorGone = errors.New("its processor was taken away by Reconfigure: connect again")
	errEngineGone    = errors.New("the engine of its processor died: connect again")
)

var errEventPanicked = errors.New("kring: an event of the connection panicked")

func (o owner) survive() {
	if recover() != nil {
		o.u.server.watcherPanics.Add(1)
		o.u.Close(errEventPanicked)
	}
}

// lookUpsMax is how many names are resolved at once: each may take a thread.
const lookUpsMax = 8

// upstreams are what all Upstreams of a Server share.
type upstreams struct {
	shakes *tlsconn.Handshakes
	// lookUps has one for each name that is being resolved. looking ends them when no
	// processor is left: until then a client's request may need a connection.
	lookUps    chan struct{}
	looking    context.Context
	endLookUps context.CancelCauseFunc
}

func newUpstreams() upstreams {
	u := upstreams{
		shakes:  tlsconn.New(tlsconn.Settings{RunningMax: max(1, runtime.GOMAXPROCS(0)/2), WaitingMax: handshakesWaitingDefault}),
		lookUps: make(chan struct{}, lookUpsMax),
	}
	u.looking, u.endLookUps = context.WithCancelCause(context.Background())
	return u
}

// lookUp asks for the addresses of a name, when its turn has come. timeout 0: it may take as
// long as the resolver does.
func (u *upstreams) lookUp(host string, timeout time.Duration) ([]netip.Addr, error) {
	ctx, cancel := u.looking, context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	select {
	case u.lookUps <- struct{}{}:
		defer func() { <-u.lookUps }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return ips, err
}
