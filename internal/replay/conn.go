package replay

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"

	"kring/kafka"
)

// inFlightMax bounds the requests of a connection that wait for their answers. One more waits
// itself, and its latency goes on counting.
const inFlightMax = 512

// retryAfter is how long after a failed attempt a connection is tried again.
const retryAfter = time.Second

// player is one connection to the target, for one of the recording; in a cluster, one to each broker
// that is asked something.
type player struct {
	r      *run
	queue  *queue
	links  map[int32]*link // by node
	next   int32
	failed map[int32]time.Time // when connecting failed last
	buffer []byte
	done   chan struct{} // closed when it has ended
}

// link is a connection of a player, as long as it lasts.
type link struct {
	net.Conn
	waiting chan waits    // in the order that they were sent
	broken  chan struct{} // closed when it is of no more use
	idle    chan struct{} // has one for each answer, at full speed
	done    chan struct{} // closed when the receiver has ended
}

// waits is a request that was sent.
type waits struct {
	key, version int16
	correlation  int32
	due, sent    time.Time
	asked        time.Duration
}

// play sends what comes, until there is nothing more.
func (p *player) play(ctx context.Context) {
	defer close(p.done)
	defer p.r.live.Add(-1)
	for it := p.queue.pop(ctx); it != nil; it = p.queue.pop(ctx) {
		if p.r.sleep(ctx, it.due) {
			p.send(ctx, it)
		}
		p.r.budget.give(it.bytes)
	}
	for node := range p.links {
		p.end(node, false)
	}
}

// end ends a link, with the answers that are still to come unless it is broken.
func (p *player) end(node int32, broken bool) {
	l := p.links[node]
	close(l.waiting)
	if broken {
		_ = l.Close()
	}
	<-l.done
	_ = l.Close()
	delete(p.links, node)
}

// to is the link to a node, which it makes if there is none; nil: there can't be one now.
func (p *player) to(ctx context.Context, node int32) *link {
	if l := p.links[node]; l != nil {
		select {
		case <-l.broken:
			p.end(node, true)
		default:
			return l
		}
	}
	if failed, has := p.failed[node]; has && time.Since(failed) < retryAfter {
		return nil
	}
	if err := p.connect(ctx, node); err != nil {
		p.failed[node] = time.Now()
		p.r.report.connectFailed(err)
		return nil
	}
	delete(p.failed, node)
	return p.links[node]
}

func (p *player) connect(ctx context.Context, node int32) error {
	within, cancel := context.WithTimeout(ctx, p.r.cfg.patience())
	defer cancel()
	conn, err := p.r.cfg.Dial(within, p.r.target.address(node))
	if err != nil {
		return err
	}
	ends := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := (&asker{Conn: conn, patience: p.r.cfg.patience()}).login(p.r.cfg); err != nil {
		ends()
		_ = conn.Close()
		return err
	}
	l := &link{Conn: conn, waiting: make(chan waits, inFlightMax), broken: make(chan struct{}), idle: make(chan struct{}, 1), done: make(chan struct{})}
	_ = conn.SetDeadline(time.Time{})
	p.links[node] = l
	p.r.report.connected()
	go func() {
		defer ends()
		l.receive(p.r)
	}()
	return nil
}

// send sends one, and at full speed waits for its answer.
func (p *player) send(ctx context.Context, it *item) {
	if it.key < 0 { // only to connect
		p.to(ctx, it.node)
		return
	}
	l := p.to(ctx, it.node)
	if l == nil {
		p.r.report.unanswered(it.key, notConnected)
		return
	}
	p.next++
	frame := appendFrame(p.buffer[:0], it.key, it.version, p.next, it.clientID, p.r.target.encoded(it))
	p.buffer = frame[:0]
	if cap(p.buffer) > 1<<20 {
		p.buffer = nil
	}
	now := time.Now()
	w := waits{it.key, it.version, p.next, it.due, now, it.asked}
	if p.r.cfg.Speed == 0 {
		w.due = now
	}
	p.r.report.sent(it.key, len(frame), now.Sub(w.due))
	if !it.silent {
		select { // before it is written: the answer may be there at once
		case l.waiting <- w:
		case <-l.broken:
			p.r.report.unanswered(it.key, lost)
			return
		case <-ctx.Done():
			p.r.report.unanswered(it.key, lost)
			return
		}
	}
	_ = l.SetWriteDeadline(now.Add(p.r.cfg.Timeout))
	if _, err := l.Write(frame); err != nil {
		_ = l.Close() // which the receiver notices
		if it.silent {
			p.r.report.unanswered(it.key, lost)
			p.end(it.node, true)
		}
		return
	}
	switch {
	case it.silent:
		p.r.report.silent(it.key)
	case p.r.cfg.Speed == 0:
		select {
		case <-l.idle:
		case <-l.broken:
		}
	}
}

// receive takes the answers, until there are no more. When one does not come, those behind it do
// not either.
func (l *link) receive(r *run) {
	defer close(l.done)
	from := &watched{Conn: l.Conn}
	in := bufio.NewReaderSize(from, 8<<10)
	var answer []byte
	var last time.Time
	broken, why := false, lost
	for w := range l.waiting {
		if broken {
			r.report.unanswered(w.key, why)
			continue
		}
		since := w.sent // it waits behind those before it
		if last.After(since) {
			since = last
		}
		from.until(since.Add(r.cfg.Timeout+w.asked), r.cfg.Timeout)
		var err error
		answer, err = readAnswer(in, answer)
		last = time.Now()
		if err == nil && int32(binary.BigEndian.Uint32(answer)) != w.correlation {
			err = errAnswer
		}
		if err != nil {
			broken = true
			first := lost
			if errors.Is(err, os.ErrDeadlineExceeded) {
				first = tooLate
			} else if errors.Is(err, errAnswer) {
				first = wrongAnswer
			}
			r.report.unanswered(w.key, first)
			_ = l.Close()
			close(l.broken)
			continue
		}
		request := appendFrame(nil, w.key, w.version, 0, nil, nil)[4:]
		r.report.answered(w.key, last.Sub(w.due), len(answer), kafka.ErrorCode(request, answer))
		r.target.learn(w.key, w.version, answer)
		if cap(answer) > 16<<20 {
			answer = nil
		}
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
	if !broken {
		close(l.broken)
	}
}

// watched is a connection that is read until a moment. When that has passed long before anybody looks, the
// process was stopped, and what came meanwhile lies in the socket: it is looked at once more.
type watched struct {
	net.Conn
	end  time.Time
	more time.Duration // 0: there was one
}

// stoppedFor is how much later than it should be a look is that was not merely scheduled late.
const stoppedFor = 500 * time.Millisecond

func (w *watched) until(end time.Time, more time.Duration) {
	w.end, w.more = end, more
	_ = w.SetReadDeadline(end)
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 || w.more == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(w.end) < stoppedFor {
		return n, err
	}
	w.until(time.Now().Add(w.more), 0)
	return w.Conn.Read(b)
}
