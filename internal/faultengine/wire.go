package faultengine

import (
	"math/rand/v2"
	"net/netip"
	"syscall"

	"kring/engine"
)

// wire is a connection: two streams and how each end sees its end. Guarded by
// the Network's mutex.
type wire struct {
	local, remote netip.AddrPort // as the server's side sees them
	desc          *desc          // nil until accepted
	peer          *Peer
	rng           *rand.Rand // faults at the peer's call, independent of any engine

	toServer stream
	toPeer   stream

	// What the server's side did and knows.
	shut   bool          // Shutdown
	closed bool          // CloseFD or Discard
	broken syscall.Errno // why the connection broke, 0 while it stands
	told   bool          // broken was reported by a completion; Linux says it once

	// What the peer's side knows.
	peerClosed bool // the peer's Close
	peerReset  bool // its next read and write fail
}

// stream is one direction: bytes written and not yet read.
type stream struct {
	data     []byte
	limit    int
	finished bool // no more will be written
}

func (s *stream) room() int { return max(0, s.limit-len(s.data)) }

func (s *stream) take(b []byte) int {
	k := copy(b, s.data)
	if s.data = s.data[k:]; len(s.data) == 0 {
		s.data = nil
	}
	return k
}

func (w *wire) configure(o engine.SocketOptions) {
	if o.SendBufferBytes > 0 {
		w.toPeer.limit = o.SendBufferBytes
	}
	if o.ReceiveBufferBytes > 0 {
		w.toServer.limit = o.ReceiveBufferBytes
	}
}

// receiveEnd is what a receive that finds no data ends with, if it ends.
func (w *wire) receiveEnd() (res int32, ends bool) {
	if w.broken != 0 && !w.told {
		w.told = true
		return engine.Failed(w.broken), true
	}
	return 0, w.toServer.finished || w.shut || w.broken != 0
}

// sendEnd is what a send that can't go on ends with, if so.
func (w *wire) sendEnd() (res int32, ends bool) {
	if w.broken != 0 && !w.told {
		w.told = true
		return engine.Failed(w.broken), true
	}
	return engine.Failed(syscall.EPIPE), w.shut || w.toPeer.finished || w.broken != 0
}

// shutdown ends both directions; what the peer sent before may still be read.
func (w *wire) shutdown() {
	w.shut = true
	w.toPeer.finished = true
	w.tellPeer()
}

// shutdownSend ends what the peer reads; what it sends goes on.
func (w *wire) shutdownSend() {
	w.toPeer.finished = true
	w.tellPeer()
}

// close is close(2): unread input turns the farewell into a reset.
func (w *wire) close() {
	w.closed = true
	w.toPeer.finished = true
	if len(w.toServer.data) > 0 {
		w.peerReset = true
	}
	w.toServer.data = nil
	w.desc = nil
	w.tellPeer()
}

// breakOff breaks the connection for both sides.
func (w *wire) breakOff(why syscall.Errno) {
	if w.broken == 0 {
		w.broken = why
	}
	w.peerReset = true
	w.toPeer.finished = true
	w.tellPeer()
	w.tellOwner()
}

func (w *wire) tellPeer() { w.peer.changed.Broadcast() }

func (w *wire) tellOwner() {
	if w.desc != nil && w.desc.owner != nil {
		w.desc.owner.ring()
	}
}
