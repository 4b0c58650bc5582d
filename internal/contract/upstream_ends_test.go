package contract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// watcher keeps what it is told.
type watcher struct {
	opened, closed chan error
	frames         chan string
	begins         func(size int) ([]byte, error)
}

func watch() *watcher {
	return &watcher{opened: make(chan error, 1), closed: make(chan error, 1), frames: make(chan string, 100)}
}

func (w *watcher) Opened() { w.opened <- nil }
func (w *watcher) FrameBegins(size int, _ int32) ([]byte, error) {
	if w.begins != nil {
		return w.begins(size)
	}
	return nil, nil
}
func (w *watcher) Frame(payload []byte) { w.frames <- string(payload) }
func (w *watcher) Closed(err error)     { w.closed <- err }

// ends waits for the end of a connection.
func (w *watcher) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.closed:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the connection does not end")
		return nil
	}
}

func (w *watcher) opens(t *testing.T) {
	t.Helper()
	select {
	case <-w.opened:
	case err := <-w.closed:
		t.Fatalf("it ended before it opened: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it does not open")
	}
}

// wantEnd demands how a connection ended.
func wantEnd(t *testing.T, got error, reason kring.CloseReason, want error) {
	t.Helper()
	var e *kring.UpstreamError
	if !errors.As(got, &e) || e.Reason != reason || !errors.Is(got, want) {
		t.Errorf("it ended with %v, want %v: %v", got, reason, want)
	}
}

func TestAConnectionThatCanNotBeMadeSaysWhy(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		for _, c := range []struct {
			address string
			want    error
		}{{nobodyListens(t), syscall.ECONNREFUSED}, {"255.255.255.255:9", syscall.ENETUNREACH}} {
			w := watch()
			u := s.Connect(kring.UpstreamConfig{Address: c.address, Near: -1, OpenTimeout: time.Minute}, w)
			done := make(chan bool, 1)
			u.Write(kring.UpstreamWrite{Parts: [][]byte{servertest.Frame([]byte("never"))}, Done: func(begun bool, err error) { done <- begun || err == nil }})
			wantEnd(t, w.ends(t), kring.ReasonBackendFailed, c.want)
			if <-done {
				t.Error("a frame that was never sent counts as begun")
			}
			u.Write(kring.UpstreamWrite{Parts: [][]byte{{1}}, Done: func(begun bool, err error) { done <- begun || err == nil }})
			if <-done {
				t.Error("a frame that came too late counts as begun")
			}
		}
		for _, address := range []string{"nowhere", "host:0", ":9092", "host:port", "no..name:1"} {
			w := watch()
			s.Connect(kring.UpstreamConfig{Address: address, Near: -1, OpenTimeout: time.Minute}, w)
			var e *kring.UpstreamError
			if err := w.ends(t); !errors.As(err, &e) || e.Address != address {
				t.Errorf("%s: %v", address, err)
			}
		}
		servertest.Shutdown(t, s)
		w := watch()
		s.Connect(kring.UpstreamConfig{Address: "127.0.0.1:9", Near: -1}, w)
		wantEnd(t, w.ends(t), kring.ReasonBackendFailed, kring.ErrServerClosed)
	})
}

// nobodyListens is an address that refuses: a socket has its port, so that nobody else gets
// it meanwhile, and does not listen.
func nobodyListens(t *testing.T) (address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", bound.(*syscall.SockaddrInet4).Port)
}

// peers listens for connections of the Server.
func peers(t *testing.T) (address string, accept func() *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), func() *net.TCPConn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.(*net.TCPConn)
	}
}

func TestHowAPeerEndsAConnectionIsTold(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		address, accept := peers(t)
		big := bytes.Repeat([]byte("big"), 100<<10)
		for _, c := range []struct {
			name   string
			say    []byte
			reset  bool
			reason kring.CloseReason
			want   error
		}{
			{"between two frames", servertest.Frame([]byte("whole")), false, kring.ReasonPeerFinished, io.EOF},
			{"in a size", []byte{0, 0}, false, kring.ReasonPeerFinished, io.ErrUnexpectedEOF},
			{"in a small frame", servertest.Frame([]byte("half"))[:6], false, kring.ReasonPeerFinished, io.ErrUnexpectedEOF},
			{"in a big frame", servertest.Frame(big)[:200<<10], false, kring.ReasonPeerFinished, io.ErrUnexpectedEOF},
			{"by a reset", nil, true, kring.ReasonPeerReset, syscall.ECONNRESET},
			{"by a frame that is too large", []byte{0x7f, 0, 0, 0, 1, 2, 3, 4}, false, kring.ReasonFrameTooBig, nil},
			{"by a negative size", []byte{0x80, 0, 0, 0, 1, 2, 3, 4}, false, kring.ReasonFrameSizeNegative, nil},
			{"by a frame without a correlation id", []byte{0, 0, 0, 3, 1, 2, 3}, false, kring.ReasonHeaderMalformed, nil},
		} {
			w := watch()
			s.Connect(kring.UpstreamConfig{Address: address, Near: -1, FrameBytesMax: 1 << 20}, w)
			p := accept()
			w.opens(t)
			if _, err := p.Write(c.say); err != nil {
				t.Fatal(err)
			}
			if c.reset {
				_ = p.SetLinger(0)
			}
			if c.want != nil {
				_ = p.Close()
			}
			err := w.ends(t)
			var e *kring.UpstreamError
			if !errors.As(err, &e) || e.Reason != c.reason || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: it ended with %v, want %v: %v", c.name, err, c.reason, c.want)
			}
		}
		servertest.Shutdown(t, s)
	})
}

func TestTheDeadlinesOfAConnectionThatTheServerMakes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		const soon = 50 * time.Millisecond
		_, client := servertest.TLS()
		for _, c := range []struct {
			name   string
			to     kring.UpstreamConfig
			act    func(u *kring.Upstream, p *net.TCPConn)
			reason kring.CloseReason
			want   error
		}{
			{"a TLS handshake that nobody answers", kring.UpstreamConfig{TLS: client, OpenTimeout: soon}, nil, kring.ReasonBackendFailed, context.DeadlineExceeded},
			{"silence", kring.UpstreamConfig{IdleTimeout: soon}, nil, kring.ReasonIdleExpired, os.ErrDeadlineExceeded},
			{"a frame that does not go on", kring.UpstreamConfig{FrameTimeout: soon}, func(_ *kring.Upstream, p *net.TCPConn) {
				_, _ = p.Write([]byte{0, 0, 1, 0, 1, 2, 3, 4, 5})
			}, kring.ReasonFrameTimeout, os.ErrDeadlineExceeded},
			{"a peer that does not read", kring.UpstreamConfig{WriteTimeout: soon}, func(u *kring.Upstream, _ *net.TCPConn) {
				u.Write(kring.UpstreamWrite{Parts: [][]byte{make([]byte, 32<<20)}, Copied: true})
			}, kring.ReasonWriteTimeout, os.ErrDeadlineExceeded},
		} {
			w := watch()
			address, accept := peers(t)
			c.to.Address, c.to.Near = address, -1
			u := s.Connect(c.to, w)
			if c.act != nil { // else its time may be over before it connects
				c.act(u, accept())
			}
			err := w.ends(t)
			var e *kring.UpstreamError
			if !errors.As(err, &e) || e.Reason != c.reason || !errors.Is(err, c.want) {
				t.Errorf("%s: it ended with %v, want %v: %v", c.name, err, c.reason, c.want)
			}
		}
		servertest.Shutdown(t, s)
	})
}

func TestCloseIsToldAsItWasSaid(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		address, _ := peers(t)
		why := errors.New("not needed any more")
		early := watch()
		s.Connect(kring.UpstreamConfig{Address: address, Near: -1}, early).Close(why) // it may be open by then
		w := watch()
		u := s.Connect(kring.UpstreamConfig{Address: address, Near: -1}, w)
		w.opens(t)
		if u.Conn() == nil || u.Conn().Remote.String() != address || !u.Conn().Local.IsValid() {
			t.Errorf("what there is to know of it: %+v", u.Conn())
		}
		u.Close(why)
		u.Close(errors.New("too late"))
		if err := w.ends(t); err != why {
			t.Errorf("it ended with %v", err)
		}
		if err := early.ends(t); err != why {
			t.Errorf("the early one ended with %v", err)
		}
		panics := watch()
		panics.begins = func(int) ([]byte, error) { panic("in an event") }
		address, accept := peers(t)
		s.Connect(kring.UpstreamConfig{Address: address, Near: -1}, panics)
		_, _ = accept().Write([]byte{0, 1, 0, 0, 1, 2, 3, 4, 5})
		if err := panics.ends(t); err == nil {
			t.Error("a panic in an event leaves its connection alone")
		}
		servertest.Shutdown(t, s)
	})
}

// TestAPausedConnectionPushesBack: what is not read waits with its peer.
func TestAPausedConnectionPushesBack(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		address, accept := peers(t)
		w := watch()
		w.frames = make(chan string, 1<<16)
		u := s.Connect(kring.UpstreamConfig{Address: address, Near: -1}, w)
		p := accept()
		w.opens(t)
		u.Pause()
		const frames = 4000
		wrote := make(chan error, 1)
		go func() {
			for i := range uint32(frames) {
				b := append(binary.BigEndian.AppendUint32(nil, i), make([]byte, 8<<10)...)
				if _, err := p.Write(servertest.Frame(b)); err != nil {
					wrote <- err
					return
				}
			}
			wrote <- nil
		}()
		servertest.Eventually(t, "as much is held as may be", func() bool { return s.Stats().Total.UpstreamBytesIn > 64<<10 })
		if len(wrote) > 0 || len(w.frames) == frames {
			t.Errorf("%d frames came, and all were taken (%t), of a connection that is paused", len(w.frames), len(wrote) > 0)
		}
		u.Resume()
		for i := range uint32(frames) {
			select {
			case f := <-w.frames:
				if got := binary.BigEndian.Uint32([]byte(f)); got != i {
					t.Fatalf("frame %d came as number %d", got, i)
				}
			case err := <-w.closed:
				t.Fatalf("it ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatalf("frame %d does not come", i)
			}
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		u.Close(io.EOF)
		w.ends(t)
		servertest.Shutdown(t, s)
	})
}
