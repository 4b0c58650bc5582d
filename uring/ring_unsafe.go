//go:build linux

package uring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewRing sets up a ring with at least entries SQEs (a power of two is kept)
// as p asks, and updates p with the kernel's answer.
func NewRing(entries uint32, p *Params) (*Ring, error) {
	// Sound: p is only used during the call.
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	if errno != 0 {
		return nil, errno
	}
	r := &Ring{registrar: registrar{fd: int(fd)}, params: *p, enterFD: int(fd), waitFor: 1}
	if p.Features&FeatureSingleMmap == 0 {
		_ = r.Close()
		return nil, fmt.Errorf("uring: the kernel maps SQ and CQ apart: it is older than 5.4, and kring needs 5.19")
	}
	if err := r.mapQueues(); err != nil {
		_ = r.Close()
		return nil, err
	}
	r.SetNoIOWait(true)
	r.polled = p.Flags&SetupSQPoll != 0
	r.unflagged = p.Flags&(SetupCoopTaskrun|SetupDeferTaskrun) != 0 && p.Flags&SetupTaskrunFlag == 0
	return r, nil
}

// mapQueues maps the two rings and the SQEs, and finds their words.
func (r *Ring) mapQueues() error {
	p := &r.params
	sq := p.SQOff.Array + p.SQEntries*uint32(unsafe.Sizeof(uint32(0)))
	if p.Flags&SetupNoSQArray != 0 {
		sq = p.CQOff.CQEs // no index array: the CQEs end the mapping
	}
	cq := p.CQOff.CQEs + p.CQEntries*uint32(unsafe.Sizeof(CQE{}))
	rings, err := mapRing(r.fd, offSQRing, int(max(sq, cq)))
	if err != nil {
		return err
	}
	r.mapped[0] = rings
	sqes, err := mapRing(r.fd, offSQEs, int(p.SQEntries)*int(unsafe.Sizeof(SQE{})))
	if err != nil {
		return err
	}
	r.mapped[1] = sqes
	page, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(waitArg{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return mapError("wait argument", int(unsafe.Sizeof(waitArg{})), err)
	}
	r.mapped[2] = page

	// Sound: the kernel gave the offsets within its own mapping, all aligned;
	// the mapping stays until Close, after which no method may be called. The
	// kernel writes sqHead, sqFlags, cqTail and the CQEs, we the rest.
	word := func(off uint32) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&rings[off])) }
	r.sqHead, r.sqTail, r.sqFlags = word(p.SQOff.Head), word(p.SQOff.Tail), word(p.SQOff.Flags)
	r.cqHead, r.cqTail = word(p.CQOff.Head), word(p.CQOff.Tail)
	r.sqMask, r.cqMask = word(p.SQOff.RingMask).Load(), word(p.CQOff.RingMask).Load()
	r.cqes = unsafe.Slice((*CQE)(unsafe.Pointer(&rings[p.CQOff.CQEs])), p.CQEntries)
	r.sqes = unsafe.Slice((*SQE)(unsafe.Pointer(&sqes[0])), p.SQEntries)
	if p.Flags&SetupNoSQArray == 0 {
		// The index array never changes: entry i of the ring is SQE i.
		array := unsafe.Slice((*uint32)(unsafe.Pointer(&rings[p.SQOff.Array])), p.SQEntries)
		for i := range array {
			array[i] = uint32(i)
		}
	}
	r.arg = (*waitArg)(unsafe.Pointer(&page[0]))
	r.arg.events.Timespec = uint64(uintptr(unsafe.Pointer(&r.arg.limit)))
	return nil
}

func mapRing(fd int, off int64, n int) ([]byte, error) {
	b, err := unix.Mmap(fd, off, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, mapError("ring", n, err)
	}
	return b, nil
}

func mapError(what string, n int, err error) error {
	return fmt.Errorf("uring: mmap of the %s (%d bytes): %w (address-space limit or vm.max_map_count)", what, n, err)
}

// enter is io_uring_enter(2). arg is nil or mapped memory.
func (r *Ring) enter(submit, wait, flags uint32, arg unsafe.Pointer, size uintptr, quick bool) error {
	var errno unix.Errno
	r.calls++
	if quick {
		_, _, errno = unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.enterFD), uintptr(submit), uintptr(wait),
			uintptr(flags), uintptr(arg), size)
	} else {
		_, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.enterFD), uintptr(submit), uintptr(wait),
			uintptr(flags), uintptr(arg), size)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// enterTimed waits with the limit in r.arg.
func (r *Ring) enterTimed(submit, wait, flags uint32, quick bool) error {
	return r.enter(submit, wait, flags, unsafe.Pointer(&r.arg.events), unsafe.Sizeof(getEventsArg{}), quick)
}

// Close closes the ring and unmaps its queues. The kernel ends what is
// outstanding some time later: memory that operations point at may only be
// freed when every operation had its last CQE before.
func (r *Ring) Close() error {
	err := unix.Close(r.fd)
	for i, b := range r.mapped {
		if b == nil {
			continue
		}
		r.mapped[i] = nil
		if e := unix.Munmap(b); err == nil {
			err = e
		}
	}
	return err
}
