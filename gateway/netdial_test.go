package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// netDialer is a Dialer by goroutines and net.Conn, for tests of what is above it.
type netDialer struct {
	mu    sync.Mutex
	links map[*netLink]bool
	dials int
	done  sync.WaitGroup
}

func (d *netDialer) Dial(to Target, events LinkEvents) Link {
	l := &netLink{d: d, events: events, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.links == nil {
		d.links = map[*netLink]bool{}
	}
	d.links[l] = true
	d.dials++
	d.done.Add(1)
	go l.run(to)
	return l
}

// open is how many connections there are.
func (d *netDialer) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.links)
}

// cut closes all connections, as a broker that ends would.
func (d *netDialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.links {
		l.mu.Lock()
		if l.conn != nil {
			_ = l.conn.Close()
		}
		l.mu.Unlock()
	}
}

type netLink struct {
	d      *netDialer
	events LinkEvents
	one    sync.Mutex // events come one at a time

	mu     sync.Mutex
	conn   net.Conn
	queue  []Write
	closed bool
	why    error
	wake   chan struct{}
	ended  chan struct{}
}

func (l *netLink) Write(w Write) {
	l.mu.Lock()
	l.queue = append(l.queue, w)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *netLink) Pause()  {}
func (l *netLink) Resume() {}

func (l *netLink) Close(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed, l.why = true, why
		if l.conn != nil {
			_ = l.conn.Close()
		}
		close(l.ended)
	}
}

func (l *netLink) run(to Target) {
	defer l.d.done.Done()
	conn, err := net.DialTimeout("tcp", to.Address.String(), to.OpenTimeout)
	l.mu.Lock()
	l.conn = conn
	if err == nil && l.closed {
		_ = conn.Close()
	}
	l.mu.Unlock()
	var writing sync.WaitGroup
	if err == nil {
		l.event(l.events.Opened)
		writing.Go(func() { l.writeAll(conn) })
		err = l.readAll(conn)
		_ = conn.Close()
	}
	l.mu.Lock()
	if l.closed {
		err = l.why
	} else {
		l.closed = true
		close(l.ended)
	}
	l.mu.Unlock()
	writing.Wait()
	l.mu.Lock()
	left := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, w := range left {
		l.event(func() { w.Done(false, err) })
	}
	l.event(func() { l.events.Closed(err) })
	l.d.mu.Lock()
	delete(l.d.links, l)
	l.d.mu.Unlock()
}

func (l *netLink) event(f func()) {
	l.one.Lock()
	defer l.one.Unlock()
	f()
}

func (l *netLink) writeAll(conn net.Conn) {
	for {
		l.mu.Lock()
		var w Write
		any := len(l.queue) > 0
		if any {
			w, l.queue = l.queue[0], l.queue[1:]
		}
		l.mu.Unlock()
		if !any {
			select {
			case <-l.wake:
				continue
			case <-l.ended:
				return
			}
		}
		bufs := net.Buffers(append([][]byte(nil), w.Parts...))
		n, err := bufs.WriteTo(conn)
		if w.Done != nil {
			l.event(func() { w.Done(n > 0, err) })
		}
		if err != nil {
			return
		}
	}
}

func (l *netLink) readAll(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(head[:]))
		if size < 4 || size > 100<<20 {
			return errors.New("frame size")
		}
		var into []byte
		var err error
		l.event(func() { into, err = l.events.FrameBegins(size, int32(binary.BigEndian.Uint32(head[4:]))) })
		if err != nil {
			return err
		}
		if into == nil {
			into = make([]byte, size)
		}
		into = into[:size]
		copy(into, head[4:])
		if _, err := io.ReadFull(r, into[4:]); err != nil {
			return err
		}
		l.event(func() { l.events.Frame(into) })
	}
}
