package tlsconf

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

// ticketHandover is what another process gets of the ticket keys.
type ticketHandover struct {
	Trust []byte
	Keys  [][]byte // newest first
	Due   int64    // when the newest is to be replaced, in Unix nanoseconds
}

// Tickets are the keys of session tickets, for the process that serves next: its clients then
// resume the sessions that this one began. They are secret. nil if there are no tickets.
func (s *Source) Tickets() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tickets.every < 0 {
		return nil
	}
	trust := s.current.Load().trust
	out := ticketHandover{Trust: trust[:], Due: s.tickets.due.Load()}
	for _, key := range s.tickets.keys {
		out.Keys = append(out.Keys, key[:])
	}
	raw, _ := json.Marshal(out) // it has nothing that can't be
	return raw
}

// AdoptTickets goes on with the keys of another process's Source, if that trusts the same CAs
// in the same way: otherwise sessions would be resumed that it would refuse, and the keys stay
// what they are.
func (s *Source) AdoptTickets(raw []byte) error {
	var in ticketHandover
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("ticket keys can't be read: %w", err)
	}
	if len(in.Keys) == 0 || len(in.Keys) > ticketKeysMax {
		return fmt.Errorf("there are %d ticket keys, and not 1 to %d", len(in.Keys), ticketKeysMax)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.current.Load()
	switch {
	case s.tickets.every < 0:
		return nil
	case sha256.Size != len(in.Trust) || [sha256.Size]byte(in.Trust) != st.trust:
		return errors.New("the trusted CAs are others than those of the process before: its sessions are not resumed")
	}
	var keys [][32]byte
	for _, key := range in.Keys {
		if len(key) != 32 {
			return fmt.Errorf("a ticket key has %d bytes, and not 32", len(key))
		}
		keys = append(keys, [32]byte(key))
	}
	s.tickets.keys = keys
	s.tickets.due.Store(in.Due)
	s.tickets.apply(st.config, s.now())
	return nil
}
