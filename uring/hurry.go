//go:build linux

package uring

import "golang.org/x/sys/unix"

// delayedSendsMax bounds the sends that are handed over together with a wait.
const delayedSendsMax = 8

// canHurry says whether every send since the last enter can be told to complete at
// once.
func (e *ringEngine) canHurry() bool {
	if e.sends > delayedSendsMax || e.takenInPart {
		return false
	}
	for _, q := range e.sending[:e.sends] {
		if q.Opcode != OpcodeSend && q.Opcode != OpcodeSendMsg {
			return false
		}
	}
	return true
}

// hurrySends has the sends that are handed over with a wait complete at once,
// whatever they could take: the wait is for one CQE more than there are of them, and
// nothing would end it if two of them stayed away, not even the timeout. What is left
// of a short one is sent by the owner, and that waits for the peer.
//
// Kernel: with MSG_DONTWAIT a send is not tried again but ends, and without
// MSG_WAITALL one that took a part ends as well.
func (e *ringEngine) hurrySends() {
	for _, q := range e.sending[:e.sends] {
		q.OpFlags = q.OpFlags&^unix.MSG_WAITALL | unix.MSG_DONTWAIT
	}
}
