package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// shakeThread makes a connection for each request: TCP's handshake and TLS's, the request and
// its answer, close_notify. A goroutine for each that is under way, by crypto/tls, which
// costs a client about what it costs a server: it is the server's processor time that is
// measured.
type shakeThread struct {
	mu sync.Mutex // guards core
	*core
	tm     *timing
	number int
	server netip.AddrPort
	wg     sync.WaitGroup
}

func newShakeThread(tm *timing, x *core, number int) thread {
	return &shakeThread{core: x, tm: tm, number: number}
}

func (th *shakeThread) dial(server, _ netip.AddrPort, id int, _ bool) error {
	th.server = server
	c := th.newConn(id)
	c.out = th.scratch(c.t)
	return nil
}

func (th *shakeThread) run() {
	th.mu.Lock()
	th.begin(th.tm.began, th.number)
	th.mu.Unlock()
	for _, c := range th.conns {
		th.wg.Go(func() { th.serve(c) })
	}
	for pace := time.NewTicker(time.Millisecond); ; <-pace.C {
		th.mu.Lock()
		_, over := th.tm.phase(th.core, th.number, th.tm.now(), processCPU)
		th.mu.Unlock()
		if over {
			pace.Stop()
			break
		}
	}
	th.wg.Wait()
	th.finish()
}

// serve makes one connection after another.
func (th *shakeThread) serve(c *conn) {
	with := th.cfg.clientTLS()
	if th.cfg.Handshakes == ResumedHandshakes {
		with.ServerName = "bench" // what sessions are kept by
		with.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	answer := make([]byte, c.t.replyBytes)
	for first := true; ; first = false {
		th.mu.Lock()
		b := th.toSend(c)
		th.took(c, len(b))
		th.mu.Unlock()
		if len(b) == 0 {
			return // the window is over
		}
		err := th.exchange(with, b, answer, first)
		now := th.tm.now()
		th.mu.Lock()
		ok := err == nil && th.got(c, answer, now)
		if err == nil && !ok {
			err = errors.New("the response is not the request's")
		}
		if err != nil {
			th.rec.fail(&th.rec.errors.Closed, err.Error)
			th.lose(c)
		}
		th.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (th *shakeThread) exchange(with *tls.Config, request, answer []byte, first bool) error {
	conn, err := net.DialTimeout("tcp", th.server.String(), probeTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := shake(conn, with)
	if err != nil {
		return err
	}
	if resumed := c.ConnectionState().DidResume; resumed != (with.ClientSessionCache != nil && !first) {
		return fmt.Errorf("load: a handshake was resumed: %t, and %s ones were asked for", resumed, th.cfg.Handshakes)
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(probeTimeout))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	return c.Close()
}

func (th *shakeThread) close() { th.wg.Wait() }
