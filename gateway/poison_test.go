package gateway

import (
	"fmt"
	"net/netip"
	"testing"

	"kring/reqchan"
)

// poisoning is a request by which a broker closed a shared connection.
func poisoning(addr, id string) *slot {
	conn := &reqchan.Conn{}
	if addr != "" {
		conn.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 1)
	}
	s := &slot{client: &client{conn: conn}}
	s.req.Header.ClientID = []byte(id)
	return s
}

// TestAPoisonerDoesNotEscapeByItsClientID, nor by the addresses of its network; and clients that
// share an address with one are not held to it for a few ids.
func TestAPoisonerDoesNotEscapeByItsClientID(t *testing.T) {
	for name, addr := range map[string]func(n int) string{
		"ids": func(int) string { return "192.0.2.1" }, "none": func(int) string { return "" },
		"addresses": func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) },
	} {
		p := poisoners{seen: map[string]poisoner{}}
		for n := range poisonedFromIDs {
			s := poisoning(addr(n), fmt.Sprint("id", n))
			if p.has(s) {
				t.Errorf("%s: isolated after %d", name, n)
			}
			p.add(s, int64(n))
		}
		if !p.has(poisoning(addr(77), "another")) {
			t.Errorf("%s: it shares connections on", name)
		}
		if p.has(poisoning("198.51.100.1", "id0")) {
			t.Errorf("%s: somebody at another address is isolated too", name)
		}
	}
	p := poisoners{seen: map[string]poisoner{}}
	for n := range 10 {
		p.add(poisoning("192.0.2.1", "bad"), int64(n))
	}
	if !p.has(poisoning("192.0.2.1", "bad")) || p.has(poisoning("192.0.2.1", "good")) {
		t.Error("one client id that does it is not the only one to be isolated")
	}
}

// TestAPoisonerIsRememberedHoweverManyThereWere: the oldest make way.
func TestAPoisonerIsRememberedHoweverManyThereWere(t *testing.T) {
	p := poisoners{seen: map[string]poisoner{}}
	now := int64(0)
	for n := range 3 * poisonersMax {
		now++
		p.add(poisoning(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).String(), "id"), now)
	}
	s := poisoning("192.0.2.1", "late")
	for range poisonedFrom {
		now++
		p.add(s, now)
	}
	if !p.has(s) || len(p.seen) > poisonersMax {
		t.Errorf("%d are remembered, and the last of them: %v", len(p.seen), p.has(s))
	}
}
