package sock

import (
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
	l, err := unix.Getsockname(int(fd))
	if err != nil {
		return local, remote, fmt.Errorf("local address: %w", err)
	}
	r, err := unix.Getpeername(int(fd))
	if err != nil {
		return addrPort(l), remote, fmt.Errorf("remote address: %w", err)
	}
	return addrPort(l), addrPort(r), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			a = a.WithZone(zoneName(sa.ZoneId))
		}
		return netip.AddrPortFrom(a, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func sockaddr(at netip.AddrPort) (unix.Sockaddr, int, error) {
	a := at.Addr()
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: a.As4()}, unix.AF_INET, nil
	}
	zone, err := zoneID(a.Zone())
	if err != nil {
		return nil, 0, err
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: a.As16(), ZoneId: zone}, unix.AF_INET6, nil
}

// zoneID is the interface that a link-local address is valid on.
func zoneID(zone string) (uint32, error) {
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
