package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"kring"
	"kring/kafka"
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
	at     kafka.Address // where it goes
	owner  *client       // LaneOwn: whose it is
	life   life
	heard  bool  // the broker has answered ApiVersions on it
	served bool  // it was ready once
	asked  int16 // the version of ApiVersions that the broker knows

	last      int32 // correlation id
	away      fifo[*slot]
	unsent    atomic.Int32 // Writes that are not done
	headSince int64        // since when the first of away is being answered
	doubted   int32        // the first of away that was late at the last look
	silentAt  int64        // when it last sent a Produce without an answer
	idleSince int64
	muted     int64       // until when the broker reads nothing of it
	retiring  bool        // no request more; it closes when nothing is under way
	ends      atomic.Bool // it is retiring, or will authenticate again: who is done with the last Write looks
	renewAt   int64       // when to authenticate again; 0: never
	auth      *login
	endLogin  context.CancelFunc // ends a wait for a token; nil: there was none
	as        *Identity          // by whose fields it has authenticated; nil: by none
	ended     error              // why it was closed
}

var (
	errClientGone  = errors.New("gateway: the client whose connection this is has gone")
	errIdle        = errors.New("gateway: idle")
	errRetired     = errors.New("gateway: no longer used")
	errOtherUser   = errors.New("gateway: its session ends, and its credentials are of another user now")
	errShutDown    = errors.New("gateway: shut down")
	errCorrelation = errors.New("gateway: the upstream answered another request than the one it was asked first; it breaks the protocol, or it is no Kafka broker")
	errLate        = errors.New("gateway: the upstream has not answered in time")
)

func (u *uplink) open() {
	n := u.node
	n.opening++
	n.tries(u.lanes.pool.key.identity)
	u.at = n.address
	u.link = n.g.dialer.Dial(Target{
		Address: n.address, Identity: u.lanes.pool.key.identity.tls(), Near: u.near, FrameBytesMax: n.g.cfg.FrameBytesMax,
		OpenTimeout: n.g.cfg.OpenTimeout, FrameTimeout: n.g.cfg.FrameTimeout, WriteTimeout: n.g.cfg.WriteTimeout,
	}, u)
}

func (u *uplink) settled() bool { return u.life >= lifeReady }

func (u *uplink) ready() bool {
	return u.life == lifeReady && !u.retiring && !u.renewing()
}

// takes says that another request of a client may leave by u.
func (u *uplink) takes() bool {
	n := u.node
	switch {
	case !u.ready() || u.muted != 0 && n.now() < u.muted:
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
	s.written, s.begun = false, false // of another connection
	if !s.course.silent {
		if u.away.len() == 0 {
			u.headSince = u.node.now()
		}
		u.away.push(s)
	}
	u.unsent.Add(1)
	if s.client == nil {
		binary.BigEndian.PutUint32(s.parts[0][8:], uint32(s.correlation))
	}
	parts := s.frame()
	last := parts[len(parts)-1]
	u.link.Write(Write{Parts: parts, Copied: s.client == nil || len(last) > sentInPlaceFrom && !s.req.Raw.Owns(last),
		NoReply: s.course.silent, Done: s.sentBy(u)})
}

// sent is when the Link has done with the memory of s. By then s may be on its way by another,
// unless err is nil.
func (u *uplink) sent(s *slot, begun bool, err error) {
	n := u.node
	if err == nil && !s.course.silent && !s.answered {
		s.written, s.begun = true, true
		if u.unsent.Add(-1) > 0 || !u.ends.Load() { // Order: who sets ends looks at unsent afterwards
			return
		}
		n.lock()
		u.maybeRetire()
		n.unlock()
		return
	}
	n.lock()
	defer n.unlock()
	u.unsent.Add(-1)
	if u.life == lifeGone && !s.course.silent { // it was written to a connection that had ended: lost has seen to it
		return
	}
	if errors.Is(err, kring.ErrMemoryHeld) {
		s.lose()
	}
	s.written, s.begun = true, begun || err == nil
	switch {
	case s.answered:
		n.say(answer{slot: s, kind: answerEarly})
	case err != nil && s.course.silent: // what may be lost is what the client wanted so
		n.silentDone(s, !s.begun)
	case err != nil: // Closed decides
	case s.course.silent:
		u.silentAt = n.now()
		n.silentDone(s, false)
	}
	u.maybeRetire()
}

// silentDone ends a Produce without an answer.
func (n *node) silentDone(s *slot, lost bool) {
	c := s.client
	c.away--
	a := answer{slot: s, kind: answerNothing}
	if lost {
		n.counts.Lost++
		a.code = codeNetworkException // so that nobody counts it as stored
	}
	n.say(a)
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
	if u.lanes.lane != LaneOwn { // an answer frees no connection of a client's own
		u.lanes.serve()
	}
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

// becomeReady is when requests can go: at first, and whenever u has authenticated again.
func (u *uplink) becomeReady() {
	n := u.node
	if !u.served {
		u.idleSince = n.now()
		n.counts.Opened++
	}
	u.life, u.served = lifeReady, true
	n.opening--
	delete(n.refused, u.lanes.pool.key.identity)
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
	if s.client == nil || size < receiveIntoFrom || s.insertsEndpoints() {
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
	if len(payload) <= readLockedMax {
		s.throttled = throttleOf(s.req.Header, payload)
	} else {
		n.mu.Unlock() // nobody else takes s off, and reading it takes a while
		s.throttled = throttleOf(s.req.Header, payload)
		n.lock()
	}
	u.away.pop()
	u.nextHead()
	s.settle()
	c := s.client
	c.away--
	n.counts.Answered++
	if s.throttled > 0 {
		until := n.now() + int64(s.throttled)
		u.muted, c.heldUntil = max(u.muted, until), max(c.heldUntil, until)
		n.counts.Throttled++
	}
	early := !s.written
	if early {
		s.answered, s.early = true, s.keep(payload)
	}
	n.next(c, u)
	u.maybeRetire()
	n.unlock()
	if !early {
		n.finish(s, payload)
		s.free()
	}
}

// readLockedMax is how large a response is at most that is read with the lock held: that takes
// less time than to let go of it and to take it again.
const readLockedMax = 1 << 10

// lose has nobody use the memory of s again, because the kernel does.
func (s *slot) lose() {
	if s.client != nil {
		s.req.Raw.LoseMemory()
	}
}

// keep is a response in memory that lasts until the answer, and counts.
func (s *slot) keep(payload []byte) []byte {
	if s.into != nil {
		return payload
	}
	if s.insertsEndpoints() {
		return bytes.Clone(payload)
	}
	s.into = s.req.Raw.Buffer(len(payload) + endpointsRoom)
	return s.into[:copy(s.into, payload)]
}

// insertsEndpoints says that addresses are rewritten within the response, which needs other
// memory than that it lies in.
func (s *slot) insertsEndpoints() bool {
	h := s.req.Header
	return hasEndpoints(h.Key, h.Version) && !endpointsLast(h.Key)
}

func (u *uplink) nextHead() {
	now := u.node.now()
	u.lanes.learn(now - u.headSince)
	u.headSince = now
	if u.life == lifeReady { // who authenticates again is not used by that
		u.idleSince = now
	}
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
	u.forgetLogin()
	u.link.Close(why)
}

func (u *uplink) forgetLogin() {
	if u.endLogin != nil {
		u.endLogin()
		u.endLogin = nil
	}
}

// retire ends u as soon as nothing is under way.
func (u *uplink) retire() {
	u.retiring = true
	u.ends.Store(true)
	u.maybeRetire()
}

func (u *uplink) maybeRetire() {
	if !u.retiring || u.unsent.Load() > 0 || u.away.len() > 0 {
		if u.life == lifeReady && u.away.len() == 0 && u.unsent.Load() == 0 && u.renewing() {
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
	case u.away.len() > 0 && g.waitsOver(now) && u.onlyWaits():
		u.close(errShutDown)
	case u.away.len() > 0:
		s, since := u.away.first(), max(u.headSince, u.muted) // what follows a throttled response is not read before
		if now-since > int64(s.limit(g)) {
			if u.doubted != s.correlation { // the process may have been stopped: the answer may lie there
				u.doubted = s.correlation
				return
			}
			u.node.counts.Late++
			u.close(fmt.Errorf("%w: API %d, after %v", errLate, s.req.Header.Key, time.Duration(now-since)))
		}
	case u.life == lifeAuthenticating && now-u.headSince > int64(g.cfg.OpenTimeout):
		u.close(fmt.Errorf("gateway: identity %s: there is no token after %v", u.lanes.pool.key.identity.Name, g.cfg.OpenTimeout))
	case u.life == lifeReady && u.owner == nil && u.unsent.Load() == 0 && now-u.idleSince > int64(g.cfg.IdleTimeout):
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
		if errors.Is(err, kring.ErrMemoryHeld) {
			err = errors.Join(u.ended, kring.ErrMemoryHeld) // lost has to know
		} else {
			err = u.ended
		}
	}
	u.life = lifeGone
	u.forgetLogin()
	u.lanes.drop(u)
	switch {
	case u.served || errors.Is(err, errShutDown) || errors.Is(err, errRetired):
	case u.refusedIdentity(err):
		n.noteRefused(u, err)
	default:
		n.failed(u.at, err)
	}
	n.counts.Closed++
	if e := (*kring.UpstreamError)(nil); errors.As(err, &e) && e.Reason == kring.ReasonResponseMemoryFull {
		n.counts.NoRoom++
	}
	u.lost(err)
	if c := u.owner; c != nil {
		c.own = nil
		if u.served && !c.gone && (n.g.cfg.Mode == Dedicated || c.shares || c.silent && u.refusedSilently(err)) {
			// With it goes what the broker has bound to it.
			n.doom(c, kring.ReasonBackendFailed)
		} else if c.queue.len() > 0 && c.line == nil {
			n.pump(c, false)
		}
	}
	n.closeSilent()
	u.lanes.serve()
}

// refusedSilently says that a broker has ended u, as far as anybody can tell, because it refuses a
// Produce without an answer: that is all that it tells a producer whose partition another leads.
// An end of ours refuses nothing, nor one that comes long after the last of them.
func (u *uplink) refusedSilently(err error) bool {
	e := (*kring.UpstreamError)(nil)
	if u.ended != nil || errors.As(err, &e) && (e.Reason == kring.ReasonListenerRemoved || e.Reason == kring.ReasonEngineFailed) {
		return false
	}
	return u.node.now()-u.silentAt < int64(u.node.g.cfg.RequestTimeout)
}

// lost decides about what was under way: a client whose requests the broker may have seen is
// closed, and sends them again in order; what has not left goes to the front of its client's
// queue again.
func (u *uplink) lost(err error) {
	n := u.node
	if s := u.away.first(); s != nil && s.client != nil && s.begun && u.lanes.lane.shared() && closedByPeer(err) {
		n.g.poisoners.add(s, n.now())
	}
	why := kring.ReasonBackendFailed
	if errors.Is(err, errShutDown) {
		why = kring.ReasonServerDraining
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
		if s.into != nil && errors.Is(err, kring.ErrMemoryHeld) {
			s.lose()
		}
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
				n.say(answer{slot: s, kind: answerClose, why: why})
			}
			if !c.gone { // else it has left by itself
				n.counts.Cut++
			}
			n.doom(c, why)
		default:
			n.counts.Resent += uint64(len(back[c]))
			c.queue.putBack(back[c])
			if c.line == nil {
				n.pump(c, false)
			}
		}
	}
}
