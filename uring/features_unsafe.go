//go:build linux

package uring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The registrations that the feature table asks for. Every argument is read,
// or read and written, during the call only, so it may be Go memory; addresses
// inside an argument are of the prober's mapped page.

// tryRingFD registers the ring's descriptor for the calling thread, and takes
// it back.
func (r registrar) tryRingFD() error {
	index, err := r.registerRingFD()
	if err != nil {
		return err
	}
	return r.unregisterRingFD(index)
}

func (r registrar) tryBufRingStatus(group uint16) error {
	status := bufRingStatus{Group: uint32(group)}
	_, err := r.register(registerPbufStatus, unsafe.Pointer(&status), 1)
	return err
}

// tryClock: this registration counts no arguments.
func (r registrar) tryClock() error {
	c := clockChoice{Clock: clockMonotonic}
	_, err := r.register(registerClock, unsafe.Pointer(&c), 0)
	return err
}

func (r registrar) tryResize(sq, cq uint32) error {
	p := Params{SQEntries: sq, CQEntries: cq, Flags: SetupCQSize}
	_, err := r.register(registerResizeRings, unsafe.Pointer(&p), 1)
	return err
}

// tryWaitRegion makes page, which is a mapped page, the place of wait
// arguments; note is mapped too, and holds what the argument points at.
func (r registrar) tryWaitRegion(page, note []byte) error {
	// Sound: both are mapped; the kernel pins the page itself, so it may be
	// unmapped any time afterwards.
	*(*regionDescriptor)(unsafe.Pointer(&note[0])) = regionDescriptor{
		Address: uint64(address(page)), Size: uint64(len(page)), Flags: memRegionUser}
	reg := memRegion{Descriptor: uint64(address(note)), Flags: memRegionWaitArg}
	_, err := r.register(registerMemRegion, unsafe.Pointer(&reg), 1)
	return err
}

// tryBPFFilter passes an address that is never mapped: a kernel that knows the
// registration fails to read it, one that does not refuses it unread.
func tryBPFFilter() error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, ^uintptr(0), registerBPFFilter, 1, 1, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// storeTimespec puts ts at the start of page.
func storeTimespec(page []byte, ts timespec) {
	*(*timespec)(unsafe.Pointer(&page[0])) = ts // Sound: mapped, page-aligned and large enough
}
