package reqchan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ConnName is the id that Kafka gives a connection, for logs and for programs
// that know it: both ends, the processor and an index. ConnID is the short form
// of its last two, and is unique alone.
type ConnName struct {
	Local, Remote netip.AddrPort
	ID            ConnID
}

// Name is the connection's.
func (c *Conn) Name() ConnName { return ConnName{c.Local, c.Remote, c.ID} }

// String is local-remote-processor-index, with an IPv6 address in brackets. Ends of
// a Unix domain socket, which have no address, are "unix".
func (n ConnName) String() string {
	return fmt.Sprintf("%s-%s-%s", EndString(n.Local), EndString(n.Remote), n.ID)
}

// unixEnd stands for an end that has no address.
const unixEnd = "unix"

// EndString is an end of a connection, "unix" for one without an address.
func EndString(end netip.AddrPort) string {
	if !end.IsValid() {
		return unixEnd
	}
	return end.String()
}

// ParseConnName takes a String apart, and wants it to be exactly one. (Kafka:
// ServerConnectionId.fromString, whose IPv6 addresses have no brackets, which is
// understood too.)
func ParseConnName(s string) (ConnName, error) {
	wrong := fmt.Errorf("connection name %q: want local:port-remote:port-processor-index", s)
	rest, index, ok1 := cutLast(s)
	rest, processor, ok2 := cutLast(rest)
	p, err1 := strconv.ParseUint(processor, 10, 32)
	i, err2 := strconv.ParseUint(index, 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil {
		return ConnName{}, wrong
	}
	// A zone may have a dash of its own: one of the dashes stands between two
	// addresses.
	for at := range len(rest) {
		if rest[at] != '-' {
			continue
		}
		local, err1 := ParseEnd(rest[:at])
		remote, err2 := ParseEnd(rest[at+1:])
		if err1 == nil && err2 == nil {
			return ConnName{local, remote, ConnID{uint32(p), i}}, nil
		}
	}
	return ConnName{}, wrong
}

// ParseConnID reads a ConnID's String.
func ParseConnID(s string) (ConnID, error) {
	p, i, _ := strings.Cut(s, "-")
	processor, err1 := strconv.ParseUint(p, 10, 32)
	index, err2 := strconv.ParseUint(i, 10, 64)
	if id := (ConnID{uint32(processor), index}); err1 == nil && err2 == nil && id.String() == s {
		return id, nil
	}
	return ConnID{}, fmt.Errorf("connection id %q: want PROCESSOR-INDEX, such as 0-17", s)
}

func cutLast(s string) (before, after string, ok bool) {
	at := strings.LastIndexByte(s, '-')
	if at < 0 {
		return "", "", false
	}
	return s[:at], s[at+1:], true
}

// ParseEnd reads an EndString; an end without an address is the zero value.
func ParseEnd(s string) (netip.AddrPort, error) {
	if s == unixEnd {
		return netip.AddrPort{}, nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a, nil
	}
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return netip.AddrPort{}, strconv.ErrSyntax
	}
	return netip.ParseAddrPort("[" + s[:at] + "]" + s[at:])
}
