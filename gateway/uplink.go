package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"kring"
)

// life is how far an uplink has come.
type life uint8

const (
	lifeOpening        life = iota // the Link connects
	lifeGreeting                   // ApiVersions is under way
	lifeAuthenticating             // SASL is
	lifeReady
	lifeClosing // Close was called
	lifeGone
)

// uplink is a connection to a broker. It implements LinkEvents.
//
// Invariant: away holds, in the order in which they left, the requests that have an answer,
// each under a correlation id of its own. Answers come in that order: one that does not is
// not looked at, and everything ends that was under way.
//
// Owner: the node's lock.
type uplink struct {
	node   *node
	lanes  *lanes
	link   Link
	near   int
	owner  *client // LaneOwn: whose it is
	life   life
	served bool // it was ready once

	last      int32 // correlation id
	away      fifo[*slot]
	unsent    int   // Writes that are not done
	headSince int64 // since when the first of away is being answered
	idleSince int64
	muted     int64 // until when the broker reads nothing of it
	retiring  bool  // no request more; it closes when nothing is under way
	renewAt   int64 // when to authenticate again; 0: never
	auth      *login
	began     int64
	ended     error // why it was closed
}

var (
	errClientGone  = errors.New("gateway: the client whose connection this is has gone")
	errIdle        = errors.New("gateway: idle")
	errRetired     = errors.New("gateway: no longer used")
	errShutDown    = errors.New("gateway: shut down")
	errCorrelation = errors.New("gateway: the upstream answered another request than the one it was asked first; it breaks the protocol, or it is no Kafka broker")
	errLate        = errors.New("gateway: the upstream has not answered in time")
)

func (u *uplink) open() {
	n := u.node
	n.opening++
	u.began = n.g.now()
	u.link = n.g.dialer.Dial(Target{
		Address: n.address, Identity: u.lanes.pool.key.identity.tls(), Near: u.near, FrameBytesMax: n.g.cfg.FrameBytesMax,
		OpenTimeout: n.g.cfg.OpenTimeout, FrameTimeout: n.g.cfg.FrameTimeout, WriteTimeout: n.g.cfg.WriteTimeout,
	}, u)
}

func (u *uplink) settled() bool { return u.life >= lifeReady }

func (u *uplink) ready() bool {
	return u.life == lifeReady && !u.retiring && !u.renewing(u.node.g.now())
}

// takes says that another request of a client may leave by u.
func (u *uplink) takes() bool {
	n := u.node
	switch {
	case !u.ready() || u.muted != 0 && n.g.now() < u.muted:
		return false
	case u.lanes.lane.shared():
		return u.away.len() < n.g.cfg.Depth
	}
	return u.away.len() == 0
}

// start sends the request of a client.
func (u *uplink) start(s *slot) {
	c := s.client
	c.on, c.lane = u, s.course.lane
	c.away++
	u.node.counts.Sent[s.course.lane]++
	s.lowerBytes()
	u.send(s)
}

// send sends a request of a client, or of the gateway's own.
func (u *uplink) send(s *slot) {
	u.last++
	s.on, s.correlation = u, u.last
	now := u.node.g.now()
	if !s.course.silent {
		if u.away.len() == 0 {
			u.headSince = now
		}
		u.away.push(s)
	}
	u.unsent++
	if s.client == nil {
		binary.BigEndian.PutUint32(s.parts[0][8:], uint32(s.correlation))
	}
	parts := s.frame()
	last := parts[len(parts)-1]
	u.link.Write(Write{Parts: parts, Copied: s.client == nil || len(last) > sentInPlaceFrom && !s.req.Raw.Owns(last), Done: s.sent})
}

// sent is when the Link has done with the memory of s.
func (s *slot) sent(begun bool, err error) {
	u := s.on
	n := u.node
	n.lock()
	defer n.unlock()
	u.unsent--
	s.written, s.begun = true, begun || err == nil
	switch {
	case s.answered:
		n.say(answer{slot: s, kind: answerEarly})
	case err != nil && s.course.silent: // what may be lost is what the client wanted so
		n.silentDone(s, !s.begun)
	case err != nil: // Closed decides
	case s.course.silent:
		n.silentDone(s, false)
	}
	u.maybeRetire()
}

// silentDone ends a Produce without an answer.
func (n *node) silentDone(s *slot, lost bool) {
	c := s.client
	c.away--
	if lost {
		n.counts.Lost++
	}
	n.say(answer{slot: s, kind: answerNothing})
	n.next(c, s.on)
}

// next goes on with c, and with who waits for u, when something that was under way has ended.
func (n *node) next(c *client, u *uplink) {
	if c != nil {
		if c.away == 0 {
			c.on = nil
		}
		if c.line == nil {
			n.pump(c, false)
		}
	}
	u.lanes.serve()
}

// Opened is of LinkEvents.
func (u *uplink) Opened() {
	n := u.node
	n.lock()
	defer n.unlock()
	if u.life == lifeOpening {
		u.greet(versionsAskedFirst)
	}
}

// becomeReady is when requests can go.
func (u *uplink) becomeReady() {
	n := u.node
	u.life, u.idleSince, u.served = lifeReady, n.g.now(), true
	n.opening--
	n.counts.Opened++
	n.up()
	for i := range u.lanes.pool.lanes { // also those who waited for the versions
		if l := &u.lanes.pool.lanes[i]; l.pool != nil {
			l.serve()
		}
	}
	n.greeter().serve()
	if u.owner != nil && u.owner.line != nil {
		n.leaveLine(u.owner)
		n.pump(u.owner, true)
	}
	n.g.mayAsk(n)
}

// FrameBegins is of LinkEvents.
func (u *uplink) FrameBegins(size int, correlationID int32) ([]byte, error) {
	n := u.node
	n.lock()
	defer n.unlock()
	s := u.away.first()
	if s == nil || s.correlation != correlationID {
		return nil, u.lies(correlationID)
	}
	if s.client == nil || size < receiveIntoFrom || hasEndpoints(s.req.Header.Key, s.req.Header.Version) && !endpointsLast(s.req.Header.Key) {
		return nil, nil
	}
	b := s.req.Raw.Buffer(size + endpointsRoom)
	s.settle()
	if !s.req.Raw.Owns(b) {
		return nil, nil
	}
	s.into = b
	return b, nil
}

const (
	// receiveIntoFrom is from what size on a response is received where it is sent from.
	receiveIntoFrom = 4 << 10
	// sentInPlaceFrom is from what size on a part is sent from where it lies.
	sentInPlaceFrom = 4 << 10
	// endpointsRoom is how much longer it may get there by other addresses.
	endpointsRoom = 1 << 10
)

func (u *uplink) lies(correlationID int32) error {
	u.node.counts.Mismatches++
	want := "nothing"
	if s := u.away.first(); s != nil {
		want = fmt.Sprint("request ", s.correlation)
	}
	return fmt.Errorf("%w: it answered request %d, and %s was next", errCorrelation, correlationID, want)
}

// Frame is of LinkEvents.
func (u *uplink) Frame(payload []byte) {
	n := u.node
	n.lock()
	s := u.away.first()
	if id := int32(binary.BigEndian.Uint32(payload)); s == nil || s.correlation != id {
		u.close(u.lies(id))
		n.unlock()
		return
	}
	if s.client == nil {
		u.away.pop()
		u.nextHead()
		s.reply(payload, nil)
		u.maybeRetire()
		n.unlock()
		return
	}
	n.mu.Unlock() // nobody else takes s off, and reading a response takes a while
	s.throttled = throttleOf(s.req.Header, payload)
	n.lock()
	u.away.pop()
	u.nextHead()
	s.settle()
	c := s.client
	c.away--
	n.counts.Answered++
	if s.throttled > 0 {
		u.muted = max(u.muted, n.g.now()+int64(s.throttled))
		n.counts.Throttled++
	}
	early := !s.written
	if early {
		s.answered, s.early = true, append([]byte(nil), payload...)
		s.into = nil
	}
	n.next(c, u)
	u.maybeRetire()
	n.unlock()
	if !early {
		n.finish(s, payload)
	}
}

func (u *uplink) nextHead() {
	now := u.node.g.now()
	u.headSince, u.idleSince = now, now
}

// close ends u at once; Closed follows.
func (u *uplink) close(why error) {
	if u.life >= lifeClosing {
		return
	}
	if !u.settled() {
		u.node.opening--
	}
	u.life, u.ended = lifeClosing, why
	u.link.Close(why)
}

// retire ends u as soon as nothing is under way.
func (u *uplink) retire() {
	u.retiring = true
	u.maybeRetire()
}

func (u *uplink) maybeRetire() {
	if !u.retiring || u.unsent > 0 || u.away.len() > 0 {
		if u.life == lifeReady && u.away.len() == 0 && u.unsent == 0 && u.renewing(u.node.g.now()) {
			u.authenticate()
		}
		return
	}
	u.close(errRetired)
}

// tick looks at what u waits for.
func (u *uplink) tick(now int64) {
	g := u.node.g
	switch {
	case u.life == lifeOpening || u.life >= lifeClosing:
	case u.away.len() > 0:
		if s := u.away.first(); now-u.headSince > int64(s.limit(g)) {
			u.node.counts.Late++
			u.close(fmt.Errorf("%w: API %d, after %v", errLate, s.req.Header.Key, time.Duration(now-u.headSince)))
		}
	case u.life == lifeReady && u.owner == nil && u.unsent == 0 && now-u.idleSince > int64(g.cfg.IdleTimeout):
		u.close(errIdle)
	default:
		u.maybeRetire()
	}
}

func (s *slot) limit(g *Gateway) time.Duration {
	if s.client == nil {
		return g.cfg.OpenTimeout
	}
	return g.cfg.limitFor(s.req.Header.Key, s.course.waits)
}

// Closed is of LinkEvents.
func (u *uplink) Closed(err error) {
	n := u.node
	n.lock()
	defer n.unlock()
	if u.life < lifeReady {
		n.opening--
	}
	if u.ended != nil {
		err = u.ended
	}
	u.life = lifeGone
	u.lanes.drop(u)
	if !u.served && !errors.Is(err, errShutDown) && !errors.Is(err, errRetired) {
		n.failed(err)
	}
	n.counts.Closed++
	u.lost(err)
	if c := u.owner; c != nil {
		c.own = nil
		if u.served && (n.g.cfg.Mode == Dedicated || c.shares) && !c.gone {
			n.doom(c, kring.ReasonBackendFailed) // with it goes what the broker has bound to it
		} else if c.queue.len() > 0 && c.line == nil {
			n.pump(c, false)
		}
	}
	u.lanes.serve()
}

// lost decides about what was under way: a client whose requests the broker may have seen is
// closed, and sends them again in order; what has not left goes to the front of its client's
// queue again.
func (u *uplink) lost(err error) {
	n := u.node
	if s := u.away.first(); s != nil && s.client != nil && s.begun && u.lanes.lane.shared() && closedByPeer(err) {
		n.g.poisoners.add(poisonKey(s), n.g.now())
	}
	back := map[*client][]*slot{}
	var order []*client
	for _, s := range u.away.all() {
		c := s.client
		if c == nil {
			s.reply(nil, err)
			continue
		}
		s.settle()
		s.into = nil // another connection asks anew where its answer lies
		c.away--
		if _, known := back[c]; !known {
			order = append(order, c)
		}
		back[c] = append(back[c], s)
		if s.begun {
			c.doomed = true
		}
	}
	u.away.clear()
	for _, c := range order {
		c.on = nil
		switch {
		case c.doomed || c.gone:
			for _, s := range back[c] {
				n.say(answer{slot: s, kind: answerClose, why: kring.ReasonBackendFailed})
			}
			n.counts.Cut++
			n.doom(c, kring.ReasonBackendFailed)
		default:
			n.counts.Resent += uint64(len(back[c]))
			c.queue.putBack(back[c])
			if c.line == nil {
				n.pump(c, false)
			}
		}
	}
}
