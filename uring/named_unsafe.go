//go:build linux

package uring

import (
	"unsafe"

	"kring/internal/invariants"
	"kring/internal/slab"
)

// checkAddresses looks at every SQE that the kernel is about to see: each
// address in it is of mapped memory that slab knows, whatever the operation, so
// never of the Go heap or a stack. Only in builds with assertions.
func (e *ringEngine) checkAddresses() {
	e.ring.unpublished(func(q *SQE) {
		switch q.Opcode {
		case OpcodeAccept:
			invariants.Assert(q.Addr == 0 && q.Off == 0, "uring: an accept names %#x and %#x", q.Addr, q.Off)
		case OpcodeClose, OpcodePollAdd, OpcodeAsyncCancel, OpcodeNop, OpcodeMsgRing: // name no memory
		case OpcodeRecv:
			if q.Flags&SQEBufferSelect != 0 {
				invariants.Assert(q.Addr == 0, "uring: a receive into selected buffers names %#x", q.Addr)
				return
			}
			e.checkMemory(q.Opcode, q.Addr, uint64(q.Len))
		case OpcodeSend, OpcodeSendZC, OpcodeRead, OpcodeReadFixed, OpcodeWriteFixed:
			e.checkMemory(q.Opcode, q.Addr, uint64(q.Len))
		case OpcodeSendMsg, OpcodeSendMsgZC:
			h := e.scratch.headerAt(uintptr(q.Addr))
			invariants.Assert(h != nil, "uring: operation %d names a msghdr at %#x, which is none of the engine's", q.Opcode, q.Addr)
			invariants.Assert(h.Name == 0 && h.Control == 0, "uring: a msghdr with a name or control data")
			e.checkVectors(q.Opcode, h.Iov, h.IovLen)
		case opcodeWritevFixed:
			e.checkVectors(q.Opcode, uintptr(q.Addr), uintptr(q.Len))
		case OpcodeConnect:
			e.checkMemory(q.Opcode, q.Addr, q.Off)
		case OpcodeTimeout:
			e.checkMemory(q.Opcode, q.Addr, uint64(unsafe.Sizeof(timespec{})))
		case OpcodeTimeoutRemove:
			e.checkMemory(q.Opcode, q.Off, uint64(unsafe.Sizeof(timespec{})))
		case OpcodeFilesUpdate:
			e.checkMemory(q.Opcode, q.Addr, 4*uint64(q.Len))
		default:
			invariants.Assert(false, "uring: nobody has said what memory operation %d names: teach checkAddresses", q.Opcode)
		}
	})
}

func (e *ringEngine) checkMemory(op uint8, at, n uint64) {
	invariants.Assert(slab.OwnsAddress(uintptr(at), int(n)), "uring: operation %d names %d bytes at %#x, which is not slab memory", op, n, at)
}

func (e *ringEngine) checkVectors(op uint8, first, n uintptr) {
	size := unsafe.Sizeof(iovec{})
	at := first - uintptr(unsafe.Pointer(unsafe.SliceData(e.scratch.vectors)))
	invariants.Assert(at%size == 0 && at/size+n <= uintptr(len(e.scratch.vectors)),
		"uring: operation %d names %d vectors at %#x, which are none of the engine's", op, n, first)
	for _, v := range e.scratch.vectors[at/size : at/size+n] {
		e.checkMemory(op, uint64(v.Base), uint64(v.Len))
	}
}

// headerAt is the msghdr at an address; nil when it is none of ours. Sound: the
// address is compared, never turned back into a pointer.
func (g *scratch) headerAt(at uintptr) *msghdr {
	offset := at - uintptr(unsafe.Pointer(unsafe.SliceData(g.headers)))
	size := unsafe.Sizeof(msghdr{})
	if offset%size != 0 || offset/size >= uintptr(len(g.headers)) {
		return nil
	}
	return &g.headers[offset/size]
}
