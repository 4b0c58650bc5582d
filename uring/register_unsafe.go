//go:build linux

package uring

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// registrar is io_uring_register(2) on a ring's descriptor. Every argument is
// read during the call only, so it may be Go memory.
type registrar struct {
	fd   int
	last uint32 // the newest registration that may be used; 0: no limit
}

func (r registrar) register(opcode uint32, arg unsafe.Pointer, n uint32) (int, error) {
	if r.last != 0 && opcode > r.last {
		return 0, unix.EINVAL // of a kernel that does not know it
	}
	v, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), uintptr(opcode), uintptr(arg), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(v), nil
}

// Opcodes are the operations that a kernel knows.
type Opcodes [4]uint64

// Has says whether the kernel knows the operation.
func (o *Opcodes) Has(opcode uint8) bool { return o[opcode>>6]&(1<<(opcode&63)) != 0 }

// Probe asks which operations the kernel knows. Kernel: 5.6.
func (r registrar) Probe() (Opcodes, error) {
	var table probeTable
	var known Opcodes
	if _, err := r.register(registerProbe, unsafe.Pointer(&table), uint32(len(table.Ops))); err != nil {
		return known, err
	}
	for _, op := range table.Ops[:min(int(table.OpsLen), len(table.Ops))] {
		if op.Flags&probeSupported != 0 {
			known[op.Op>>6] |= 1 << (op.Op & 63)
		}
	}
	return known, nil
}

// EnableRings starts a ring that was set up with SetupRDisabled, and makes the
// calling thread its single issuer. Kernel: 5.10.
func (r registrar) EnableRings() error {
	_, err := r.register(registerEnableRings, nil, 0)
	return err
}

// RegisterBuffers makes memory, which must not be the Go heap's, the ring's
// registered buffers, by their index: the kernel keeps their pages until the
// ring is closed, and counts them against the memlock limit. Kernel: 5.1.
func (r registrar) RegisterBuffers(memory ...[]byte) error {
	vectors := make([]iovec, len(memory))
	for i, b := range memory {
		vectors[i] = iovec{Base: address(b), Len: uintptr(len(b))}
	}
	_, err := r.register(registerBuffers, unsafe.Pointer(&vectors[0]), uint32(len(vectors)))
	return err
}

// RegisterBufRing makes b the buffers of group. Kernel: 5.19.
func (r registrar) RegisterBufRing(b *BufRing, group uint16) error {
	return r.registerBufRing(b, group, 0)
}

func (r registrar) registerBufRing(b *BufRing, group, flags uint16) error {
	// Sound: the address is of mapped memory that BufRing keeps until Unmap.
	reg := bufRegistration{RingAddr: uint64(uintptr(unsafe.Pointer(&b.entries[0]))),
		Entries: uint32(len(b.entries)), Group: group, Flags: flags}
	_, err := r.register(registerPbufRing, unsafe.Pointer(&reg), 1)
	return err
}

// UnregisterBufRing takes RegisterBufRing back: afterwards the kernel uses
// neither the ring nor the buffers left in it.
func (r registrar) UnregisterBufRing(group uint16) error {
	reg := bufRegistration{Group: group}
	_, err := r.register(unregisterPbufRing, unsafe.Pointer(&reg), 1)
	return err
}

// RegisterIOWQMaxWorkers limits the threads that the kernel may start for
// operations that can't wait by poll: for files (bounded) and for the rest
// (unbounded). 0 leaves a limit as it is; the former limits come back.
// Kernel: 5.15.
func (r registrar) RegisterIOWQMaxWorkers(bounded, unbounded uint32) ([2]uint32, error) {
	limits := [2]uint32{bounded, unbounded}
	_, err := r.register(registerIOWQMaxWorkers, unsafe.Pointer(&limits), 2)
	return limits, err
}

// RegisterSyncCancel cancels what matches and waits, at most for limit, until
// none of it is running any more; the CQEs are posted as ever. Kernel: 6.0.
func (r registrar) RegisterSyncCancel(userData uint64, fd int32, flags uint32, limit time.Duration) error {
	reg := syncCancel{Addr: userData, FD: fd, Flags: flags,
		Timeout: timespec{Sec: int64(limit / time.Second), Nsec: int64(limit % time.Second)}}
	_, err := r.register(registerSyncCancel, unsafe.Pointer(&reg), 1)
	runtime.KeepAlive(&reg)
	return err
}

// registerRingFD gives the ring an index among the calling thread's 16.
func (r registrar) registerRingFD() (index uint32, err error) {
	slot := slotUpdate{Offset: ^uint32(0), Data: uint64(r.fd)}
	_, err = r.register(registerRingFDs, unsafe.Pointer(&slot), 1)
	return slot.Offset, err
}

func (r registrar) unregisterRingFD(index uint32) error {
	slot := slotUpdate{Offset: index}
	_, err := r.register(unregisterRingFDs, unsafe.Pointer(&slot), 1)
	return err
}

// registerSparseFiles makes a table of n direct descriptors, all free. The length
// of the argument takes the place of a count.
func (r registrar) registerSparseFiles(n uint32) error {
	table := resources{Count: n, Flags: filesSparse}
	_, err := r.register(registerFiles2, unsafe.Pointer(&table), uint32(unsafe.Sizeof(table)))
	return err
}

// registerRestrictions lets the ring, which is not enabled yet, do only what
// is allowed. Kernel: 5.10.
func (r registrar) registerRestrictions(allowed []restriction) error {
	_, err := r.register(registerRestrictions, unsafe.Pointer(&allowed[0]), uint32(len(allowed)))
	return err
}

// RegisterNAPI makes waits poll the network card for so long. Kernel: 6.9.
func (r registrar) RegisterNAPI(busy time.Duration) error {
	n := napi{BusyPoll: uint32(busy / time.Microsecond), Prefer: 1}
	_, err := r.register(registerNAPI, unsafe.Pointer(&n), 1)
	return err
}

// message posts a CQE with userData on the ring; any thread may. Kernel: 6.13.
func (r registrar) message(userData uint64) error {
	var s SQE
	s.PrepMsgRing(int32(r.fd), 0, userData, 0)
	_, err := registrar{fd: -1, last: r.last}.register(registerSendMsgRing, unsafe.Pointer(&s), 1)
	return err
}
