package sock

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// Addrs are the two ends of a connected socket. An IPv4 peer of a socket that
// listens on both families is shown as IPv4. The remote end is gone once the
// peer has reset the connection (ENOTCONN).
func Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	if local, err = addrOf(unix.SYS_GETSOCKNAME, fd); err != nil {
		return local, remote, fmt.Errorf("local address: %w", err)
	}
	if remote, err = addrOf(unix.SYS_GETPEERNAME, fd); err != nil {
		return local, remote, fmt.Errorf("remote address: %w", err)
	}
	return local, remote, nil
}

// rawAddr is a sockaddr_in or sockaddr_in6 as the kernel writes it; of any other
// kind, its beginning.
type rawAddr [unix.SizeofSockaddrInet6]byte

// addrOf asks for one end. Not by package unix, which leaves a quarter of a
// kilobyte of garbage behind: in a burst of connects more than all the rest.
func addrOf(call uintptr, fd engine.FD) (netip.AddrPort, error) {
	var raw rawAddr
	if errno := askAddr(call, fd, &raw); errno != 0 {
		return netip.AddrPort{}, errno
	}
	return raw.addrPort(), nil
}

func (r *rawAddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(r[2:])
	switch binary.NativeEndian.Uint16(r[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(r[4:8])), port)
	case unix.AF_INET6:
		a := netip.AddrFrom16([16]byte(r[8:24])).Unmap()
		if zone := binary.NativeEndian.Uint32(r[24:]); zone != 0 {
			a = a.WithZone(zoneName(zone))
		}
		return netip.AddrPortFrom(a, port)
	}
	return netip.AddrPort{}
}

func sockaddr(at netip.AddrPort) (unix.Sockaddr, int, error) {
	a := at.Addr()
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: a.As4()}, unix.AF_INET, nil
	}
	zone, err := ZoneID(a.Zone())
	if err != nil {
		return nil, 0, err
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: a.As16(), ZoneId: zone}, unix.AF_INET6, nil
}

// ZoneID is the interface that a link-local address is valid on.
func ZoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %q is not an interface of this machine: %w", zone, err)
	}
	return uint32(i.Index), nil
}

func zoneName(id uint32) string {
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}
