package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// Header is what a forwarder says of a connection.
type Header struct {
	// Version of the protocol, 1 or 2.
	Version int
	// ForItself: the forwarder speaks for itself (LOCAL, a health check), or does not say
	// who its client is (UNKNOWN, UNSPEC). The ends are those of the socket.
	ForItself bool
	// Source and Destination are the client's ends of its connection to the forwarder.
	// They are zero values when that was a Unix domain socket, whose paths follow.
	Source, Destination         netip.AddrPort
	SourcePath, DestinationPath string

	tlvs []byte // whole ones, one behind the other
}

// Types of TLVs that the protocol itself names (2.2).
const (
	TLVALPN      = 0x01
	TLVAuthority = 0x02 // the host's name that the client asked for (SNI)
	TLVCRC32C    = 0x03
	TLVNoop      = 0x04
	TLVUniqueID  = 0x05
	TLVSSL       = 0x20
	TLVNetNS     = 0x30
)

// TLVs are what else the forwarder says, by type, in its order; version 2 alone has them.
// The values must not be changed.
func (h *Header) TLVs() iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for rest := h.tlvs; len(rest) > 0; {
			end := tlvHead + int(binary.BigEndian.Uint16(rest[1:]))
			if !yield(rest[0], rest[tlvHead:end:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// TLV is the value of the first TLV of that type; false when there is none.
func (h *Header) TLV(kind byte) ([]byte, bool) {
	for k, value := range h.TLVs() {
		if k == kind {
			return value, true
		}
	}
	return nil, false
}

// Memory is how many bytes of TLVs it keeps.
func (h *Header) Memory() int { return len(h.tlvs) }

// parse1 reads PROXY TCP4|TCP6|UNKNOWN SOURCE DESTINATION SOURCEPORT DESTINATIONPORT.
func parse1(line []byte) (*Header, error) {
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return nil, malformed1("its line does not end with CRLF")
	}
	words := strings.Split(text, " ")
	h := &Header{Version: 1}
	switch family := words[1]; {
	case family == "UNKNOWN": // whatever follows is to be ignored
		h.ForItself = true
		return h, nil
	case family != "TCP4" && family != "TCP6":
		return nil, malformed1("its family is %q: there are TCP4, TCP6 and UNKNOWN", family)
	case len(words) != 6:
		return nil, malformed1("it has %d words and not 6", len(words))
	}
	var err error
	if h.Source, err = end1("source", words[1], words[2], words[4]); err != nil {
		return nil, err
	}
	if h.Destination, err = end1("destination", words[1], words[3], words[5]); err != nil {
		return nil, err
	}
	return h, nil
}

func end1(which, family, address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (family == "TCP4") || a.Zone() != "" {
		return netip.AddrPort{}, malformed1("its %s address %q is none of %s", which, address, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, malformed1("its %s port %q is no number from 0 to 65535", which, port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// The commands, families and transports of version 2.
const (
	commandLocal = 0
	commandProxy = 1

	familyNone  = 0
	familyInet  = 1
	familyInet6 = 2
	familyUnix  = 3

	transportNone     = 0
	transportStream   = 1
	transportDatagram = 2

	unixPathBytes = 108
	tlvHead       = 3 // type and length
)

// addressBytes is how many bytes the addresses of a family have.
var addressBytes = [...]int{familyNone: 0, familyInet: 12, familyInet6: 36, familyUnix: 2 * unixPathBytes}

func parse2(b []byte) (*Header, error) {
	h := &Header{Version: 2}
	if b[12]&0xf == commandLocal { // the rest is to be ignored
		h.ForItself = true
		return h, nil
	}
	family, transport := int(b[13]>>4), b[13]&0xf
	if family >= len(addressBytes) || transport > transportDatagram {
		return nil, malformed2("its family and transport are 0x%02x, which there are not", b[13])
	}
	body := b[fixedBytes:]
	if len(body) < addressBytes[family] {
		return nil, malformed2("it has %d bytes for addresses that need %d", len(body), addressBytes[family])
	}
	addresses, tlvs := body[:addressBytes[family]], body[addressBytes[family]:]
	h.takeAddresses(family, addresses, transport == transportStream)
	if err := checkTLVs(b, len(b)-len(tlvs)); err != nil {
		return nil, err
	}
	if len(tlvs) > 0 {
		h.tlvs = append(make([]byte, 0, len(tlvs)), tlvs...)
	}
	return h, nil
}

// takeAddresses reads those of a family. What is no stream (a datagram, or nothing at all)
// is no client of ours: the protocol has it count as UNSPEC.
func (h *Header) takeAddresses(family int, a []byte, stream bool) {
	if !stream || family == familyNone {
		h.ForItself = true
		return
	}
	switch family {
	case familyInet:
		h.Source = end2(netip.AddrFrom4([4]byte(a)), a[8:])
		h.Destination = end2(netip.AddrFrom4([4]byte(a[4:])), a[10:])
	case familyInet6:
		h.Source = end2(netip.AddrFrom16([16]byte(a)), a[32:])
		h.Destination = end2(netip.AddrFrom16([16]byte(a[16:])), a[34:])
	case familyUnix:
		h.SourcePath, h.DestinationPath = path2(a[:unixPathBytes]), path2(a[unixPathBytes:])
	}
}

func end2(address netip.Addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(port))
}

// path2 is a sockaddr_un's: an abstract one begins with a zero byte, which becomes @.
func path2(b []byte) string {
	if b[0] == 0 {
		if name := strings.TrimRight(string(b[1:]), "\x00"); name != "" {
			return "@" + name
		}
		return ""
	}
	path, _, _ := strings.Cut(string(b), "\x00")
	return path
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTLVs holds the TLVs of a whole header, which begin at from, against their lengths,
// and the header against its checksum, if it has one.
func checkTLVs(header []byte, from int) error {
	sum := -1 // where the checksum's value is
	for at := from; at < len(header); {
		rest := header[at:]
		if len(rest) < tlvHead {
			return malformed2("%d bytes are left behind its last TLV", len(rest))
		}
		kind, n := rest[0], int(binary.BigEndian.Uint16(rest[1:]))
		if n > len(rest)-tlvHead {
			return malformed2("its TLV of type 0x%02x has %d bytes, and %d are left", kind, n, len(rest)-tlvHead)
		}
		if kind == TLVCRC32C {
			if n != crc32.Size {
				return malformed2("its checksum has %d bytes and not %d", n, crc32.Size)
			}
			if sum >= 0 {
				return malformed2("it has two checksums")
			}
			sum = at + tlvHead
		}
		at += tlvHead + n
	}
	if sum < 0 {
		return nil
	}
	said := binary.BigEndian.Uint32(header[sum:])
	is := crc32.Update(0, castagnoli, header[:sum])
	is = crc32.Update(is, castagnoli, make([]byte, crc32.Size))
	is = crc32.Update(is, castagnoli, header[sum+crc32.Size:])
	if is != said {
		return malformed2("its checksum is 0x%08x, and it says 0x%08x", is, said)
	}
	return nil
}
