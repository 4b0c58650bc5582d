package tlsconf

import (
	"crypto/rand"
	"crypto/tls"
	"sync/atomic"
	"time"
)

// ticketRotation is the default age at which a ticket key is replaced: a stolen key opens
// the sessions of a day (TLS 1.2's without forward secrecy), and a client that comes back
// within half a day resumes.
const ticketRotation = 12 * time.Hour

// ticketKeysMax: the newest seals, and both open.
const ticketKeysMax = 2

// tickets are the keys that session tickets are sealed with. They are explicit because
// those that crypto/tls makes by itself belong to one *tls.Config: a reload would lose them.
type tickets struct {
	every time.Duration // < 0: no tickets
	keys  [][32]byte    // newest first
	due   atomic.Int64  // when keys[0] is to be replaced, in Unix nanoseconds; 0: never
}

func newTickets(every time.Duration) tickets {
	if every == 0 {
		every = ticketRotation
	}
	return tickets{every: every}
}

func (t *tickets) isDue(now time.Time) bool {
	due := t.due.Load()
	return due != 0 && now.UnixNano() >= due
}

// forget makes every ticket worthless that was given out.
func (t *tickets) forget() {
	t.keys = nil
	if t.every > 0 {
		t.rotate()
	}
}

// rotate makes a new key. Tickets of the one before are still accepted, older ones not.
func (t *tickets) rotate() {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the program instead
	t.keys = append([][32]byte{key}, t.keys[:min(len(t.keys), ticketKeysMax-1)]...)
	t.due.Store(0)
}

// apply gives cfg the keys, and starts the time of a new one.
func (t *tickets) apply(cfg *tls.Config, now time.Time) {
	if t.every < 0 {
		return
	}
	cfg.SetSessionTicketKeys(t.keys)
	if t.due.Load() == 0 {
		t.due.Store(now.Add(t.every).UnixNano())
	}
}
