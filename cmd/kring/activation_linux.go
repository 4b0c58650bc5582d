package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// unfit says why a descriptor is no socket to be served on; "" if it is one.
func unfit(fd int) string {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case errors.Is(err, unix.EBADF):
		return "is not open: LISTEN_FDS says that there is one; it is for systemd to set"
	case errors.Is(err, unix.ENOTSOCK):
		return "is no socket: take ListenFIFO=, ListenSpecial= and the like out of the .socket unit"
	case err != nil:
		return "can't be looked at: " + err.Error()
	case kind == unix.SOCK_DGRAM:
		return "is a datagram socket: give ListenStream= in the .socket unit, not ListenDatagram="
	case kind == unix.SOCK_SEQPACKET:
		return "is a socket of packets: give ListenStream= in the .socket unit, not ListenSequentialPacket="
	case kind != unix.SOCK_STREAM:
		return "is a socket of no stream: give ListenStream= in the .socket unit"
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return "does not listen: it is a connection; give Accept=no in the .socket unit"
	}
	return ""
}

// monotonicMicros is CLOCK_MONOTONIC, in microseconds, for sd_notify(3).
func monotonicMicros() (int64, bool) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, false
	}
	return now.Nano() / 1000, true
}
