//go:build linux

package uring

import "structs"

// What of the kernel's interface is only asked for, not used.

const (
	opcodeWaitID         = 50 // Kernel: 6.7
	opcodeFutexWait      = 51 // Kernel: 6.7
	opcodeFixedFDInstall = 54 // Kernel: 6.8
	opcodeBind           = 56 // Kernel: 6.11
	opcodeListen         = 57 // Kernel: 6.11
	opcodeRecvZC         = 58 // Kernel: 6.15
	opcodeEpollWait      = 59 // Kernel: 6.15

	acceptDontWait   = 1 << 1 // Kernel: 6.10; in IOPrio
	timeoutMultishot = 1 << 6 // Kernel: 6.4

	setupIOPoll       = 1 << 0
	setupAttachWQ     = 1 << 5
	setupSQE128       = 1 << 10
	setupHybridIOPoll = 1 << 17
	setupCQEMixed     = 1 << 18
	setupSQRewind     = 1 << 20

	featureNativeWorkers = 1 << 9

	registerPbufStatus  = 26
	registerClock       = 29
	registerResizeRings = 33
	registerMemRegion   = 34
	registerBPFFilter   = 37

	memRegionUser    = 1 << 0
	memRegionWaitArg = 1 << 0
	clockMonotonic   = 1
)

// bufRingStatus is io_uring_buf_status.
type bufRingStatus struct {
	_        structs.HostLayout
	Group    uint32
	Head     uint32
	Reserved [8]uint32
}

// clockChoice is io_uring_clock_register.
type clockChoice struct {
	_        structs.HostLayout
	Clock    uint32
	Reserved [3]uint32
}

// memRegion is io_uring_mem_region_reg.
type memRegion struct {
	_          structs.HostLayout
	Descriptor uint64
	Flags      uint64
	Reserved   [2]uint64
}

// regionDescriptor is io_uring_region_desc.
type regionDescriptor struct {
	_        structs.HostLayout
	Address  uint64
	Size     uint64
	Flags    uint32
	ID       uint32
	Offset   uint64
	Reserved [4]uint64
}
