// Package proxytest makes PROXY protocol headers for tests.
//
// Job: what a forwarder sends before the bytes of its client.
//
// Flow: V1 and V2 for a client, Local for the forwarder itself, TLV for what V2 adds.
//
// Ownership: each header is its caller's.
//
// Never: read one, which is what is tested.
//
// Kernel: none.
package proxytest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// V1 is a PROXY protocol header of version 1 for a TCP client.
func V1(client, server string) []byte {
	c, s := ends(client, server)
	family := "TCP6"
	if c.Addr().Is4() {
		family = "TCP4"
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, c.Addr(), s.Addr(), c.Port(), s.Port())
}

// V2 is one of version 2; tlvs are whole ones.
func V2(client, server string, tlvs ...[]byte) []byte {
	c, s := ends(client, server)
	family := byte(0x21)
	if c.Addr().Is4() {
		family = 0x11
	}
	body := append(c.Addr().AsSlice(), s.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, c.Port())
	body = binary.BigEndian.AppendUint16(body, s.Port())
	for _, t := range tlvs {
		body = append(body, t...)
	}
	return version2(0x21, family, body)
}

// Local is one of version 2 by which a forwarder speaks for itself.
func Local() []byte { return version2(0x20, 0, nil) }

// TLV is what else a header of version 2 may say.
func TLV(kind byte, value string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

func version2(command, family byte, body []byte) []byte {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// ends are of one family: that of the client.
func ends(client, server string) (c, s netip.AddrPort) {
	c, s = netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	if !c.Addr().Is4() {
		s = netip.AddrPortFrom(netip.AddrFrom16(s.Addr().As16()), s.Port())
	}
	return c, s
}
