package processor

import (
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"kring/engine"
	"kring/internal/cachedread"
	"kring/internal/conn"
	"kring/reqchan"
)

// fileReadersMax bounds the threads that wait for a disk, over all processors, where the
// engine does not read files itself.
const fileReadersMax = 16

// fileReaders holds a place for each thread that may wait for a disk.
var fileReaders = make(chan struct{}, fileReadersMax)

// loop does what connections want done: see conn.Loop.
type loop struct{ p *Processor }

// opened is the engine with its optional interfaces; nil: it does not implement that one.
type opened struct {
	engine.Engine
	delayed  engine.DelayedSender
	blocking engine.BlockingWaiter
	announce engine.WaitAnnouncer
	teller   engine.ProgressTeller
	files    engine.FileReader
	large    engine.LargeReceiver
}

func newOpened(e engine.Engine) opened {
	d := opened{Engine: e}
	d.delayed, _ = e.(engine.DelayedSender)
	d.blocking, _ = e.(engine.BlockingWaiter)
	d.announce, _ = e.(engine.WaitAnnouncer)
	d.teller, _ = e.(engine.ProgressTeller)
	d.files, _ = e.(engine.FileReader)
	d.large, _ = e.(engine.LargeReceiver)
	return d
}

// Receive and what follows are conn.Loop's.
func (l loop) Receive(c *conn.Conn) { l.p.engine.Recv(l.p.slots.slot(c).fd, c.Token()) }

func (l loop) ReceiveInto(c *conn.Conn, buf []byte) {
	l.p.engine.RecvInto(l.p.slots.slot(c).fd, c.Token(), buf)
}

func (l loop) ReceiveLarge(c *conn.Conn, n int) {
	l.p.engine.large.RecvLarge(l.p.slots.slot(c).fd, c.Token(), n)
}

func (l loop) CancelReceive(c *conn.Conn) { l.p.engine.Cancel(l.p.slots.slot(c).fd, c.Token()) }

func (l loop) Send(c *conn.Conn, bufs [][]byte) {
	s := l.p.slots.slot(c)
	l.p.slots.sending = append(l.p.slots.sending, s)
	l.p.engine.Send(s.fd, c.Token(), bufs)
}

func (l loop) Connect(c *conn.Conn, to netip.AddrPort) {
	l.p.engine.Connect(l.p.slots.slot(c).fd, c.Token(), to)
}

func (l loop) Shutdown(c *conn.Conn) { l.p.engine.Shutdown(l.p.slots.slot(c).fd, c.Token()) }

func (l loop) ShutdownSend(c *conn.Conn) { l.p.engine.ShutdownSend(l.p.slots.slot(c).fd, c.Token()) }

func (l loop) Close(c *conn.Conn) { l.p.engine.CloseFD(l.p.slots.slot(c).fd, c.Token()) }

func (l loop) Recycle(done *engine.Completion) { l.p.engine.Recycle(done) }

func (l loop) Progress(c *conn.Conn) (engine.Progress, bool) {
	if l.p.engine.teller == nil {
		return engine.Progress{}, false
	}
	return l.p.engine.teller.Progress(l.p.slots.slot(c).fd)
}

// ReadFile is done by the engine, or by a goroutine that may wait. What is in memory waits for no
// place among those who wait for a disk.
func (l loop) ReadFile(c *conn.Conn, file *os.File, buf []byte, offset int64) {
	p, token := l.p, c.Token()
	if p.engine.files != nil {
		p.engine.files.ReadFile(file.Fd(), token, buf, offset)
		return
	}
	p.filing.Go(func() {
		var err error
		n, cached := cachedread.At(file, buf, offset)
		if !cached {
			fileReaders <- struct{}{}
			n, err = file.ReadAt(buf, offset)
			<-fileReaders
		}
		done := engine.Completion{Token: token, Op: engine.OpReadFile, Res: int32(n)}
		if n == 0 && err != nil && err != io.EOF {
			done.Res = engine.Failed(errnoOf(err))
		}
		p.inbox.submit(func() { p.complete(&done) }) // not done: release gives the memory back
	})
}

func errnoOf(err error) syscall.Errno {
	if pe, ok := err.(*os.PathError); ok {
		err = pe.Err
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EIO
}

func (l loop) SendLater(c *conn.Conn) {
	if s := l.p.slots.slot(c); !s.dirty {
		s.dirty = true
		l.p.slots.dirty = append(l.p.slots.dirty, s)
	}
}

func (l loop) RetryLater(c *conn.Conn) {
	l.p.slots.retry = append(l.p.slots.retry, l.p.slots.slot(c))
}

func (l loop) RetryWithBytes(c *conn.Conn, bytes int64, fromCredit bool) {
	l.p.slots.rearm.add(l.p.slots.slot(c), bytes, fromCredit)
}

func (l loop) SetAlarm(c *conn.Conn, at int64) { l.p.timers.alarms.set(l.p.slots.slot(c), at) }

func (l loop) ClearAlarm(c *conn.Conn) { l.p.timers.alarms.remove(l.p.slots.slot(c)) }

func (l loop) SetDeadline(c *conn.Conn) {
	w, now := &l.p.timers.wheel, l.p.shared.Now()
	s := l.p.slots.slot(c)
	w.remove(s)
	w.suit(c.Settings(), now)
	w.add(s, now)
}

func (l loop) Submit(token engine.Token, f func(*conn.Conn)) {
	l.p.inbox.submit(func() {
		if c := l.p.slots.of(token); c != nil {
			f(&c.Conn)
		}
	})
}

func (l loop) MigrateLater(c *conn.Conn) {
	l.p.migration.list = append(l.p.migration.list, l.p.slots.slot(c))
}

func (l loop) Identify(c *conn.Conn, client netip.Addr) (engine.Verdict, time.Duration) {
	if admission, ok := l.p.slots.slot(c).admission.(engine.Identifier); ok {
		return admission.Identify(client)
	}
	return engine.WithinBounds, 0
}

func (l loop) Enqueue(r *reqchan.Job, first bool) { l.p.enqueue(r, first) }
func (l loop) Postpone(r *reqchan.Job)            { l.p.postponed(r) }
func (l loop) HeldScarce()                        { l.p.becomeScarce() }
