//go:build linux

package uring

import "structs"

// This file is the kernel's include/uapi/linux/io_uring.h as far as kring uses
// it. Names follow the header's; "Kernel:" says since which version.

// SQE is a submission queue entry: 64 bytes that the kernel reads while it
// submits. Ring.GetSQE returns it zeroed.
type SQE struct {
	_        structs.HostLayout
	Opcode   uint8
	Flags    uint8  // SQE…
	IOPrio   uint16 // Recv…, Accept… and Send… flags for socket operations
	FD       int32
	Off      uint64 // or addr2
	Addr     uint64
	Len      uint32
	OpFlags  uint32 // msg_flags, accept_flags, cancel_flags, …
	UserData uint64 // comes back in the CQE
	// BufGroup is the group of provided buffers to select from, or the index
	// of a registered buffer.
	BufGroup    uint16
	Personality uint16
	// FileIndex is file_index, splice_fd_in, optlen, or addr_len in its lower half.
	FileIndex uint32
	Addr3     uint64
	Pad       uint64
}

// CQE is a completion queue entry.
type CQE struct {
	_        structs.HostLayout
	UserData uint64
	Res      int32
	Flags    uint32 // CQE…
}

// BufferID is the provided buffer that the kernel took for this completion;
// only with CQEBuffer.
func (c *CQE) BufferID() uint16 { return uint16(c.Flags >> cqeBufferShift) }

// Params is what io_uring_setup(2) is asked for and what it answers.
type Params struct {
	_            structs.HostLayout
	SQEntries    uint32
	CQEntries    uint32
	Flags        uint32 // Setup…
	SQThreadCPU  uint32
	SQThreadIdle uint32
	Features     uint32 // Feature…
	WQFD         uint32
	Reserved     [3]uint32
	SQOff        sqOffsets
	CQOff        cqOffsets
}

type sqOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Flags       uint32
	Dropped     uint32
	Array       uint32
	Reserved    uint32
	UserAddr    uint64
}

type cqOffsets struct {
	_           structs.HostLayout
	Head        uint32
	Tail        uint32
	RingMask    uint32
	RingEntries uint32
	Overflow    uint32
	CQEs        uint32
	Flags       uint32
	Reserved    uint32
	UserAddr    uint64
}

// timespec is __kernel_timespec: 64 bits on every machine.
type timespec struct {
	_    structs.HostLayout
	Sec  int64
	Nsec int64
}

// getEventsArg is io_uring_getevents_arg.
type getEventsArg struct {
	_           structs.HostLayout
	Sigmask     uint64
	SigmaskSize uint32
	MinWaitUsec uint32 // Kernel: 6.12
	Timespec    uint64
}

// bufEntry is io_uring_buf. In entry 0 the last field is the ring's tail.
type bufEntry struct {
	_    structs.HostLayout
	Addr uint64
	Len  uint32
	Bid  uint16
	Tail uint16
}

// bufRegistration is io_uring_buf_reg.
type bufRegistration struct {
	_        structs.HostLayout
	RingAddr uint64
	Entries  uint32
	Group    uint16
	Flags    uint16
	Reserved [3]uint64
}

// syncCancel is io_uring_sync_cancel_reg.
type syncCancel struct {
	_       structs.HostLayout
	Addr    uint64
	FD      int32
	Flags   uint32
	Timeout timespec
	Opcode  uint8
	Pad     [7]uint8
	Pad2    [3]uint64
}

// restriction is io_uring_restriction.
type restriction struct {
	_        structs.HostLayout
	Opcode   uint16
	SQEOp    uint8
	Reserved uint8
	Pad      [3]uint32
}

// resources is io_uring_rsrc_register.
type resources struct {
	_        structs.HostLayout
	Count    uint32
	Flags    uint32
	Reserved uint64
	Data     uint64
	Tags     uint64
}

// slotUpdate is io_uring_rsrc_update.
type slotUpdate struct {
	_        structs.HostLayout
	Offset   uint32
	Reserved uint32
	Data     uint64
}

// napi is io_uring_napi.
type napi struct {
	_          structs.HostLayout
	BusyPoll   uint32
	Prefer     uint8
	Opcode     uint8
	Pad        [2]uint8
	OpcodeArg  uint32
	ReservedTo uint32
}

// probeOp and probeTable are io_uring_probe.
type probeOp struct {
	_        structs.HostLayout
	Op       uint8
	Reserved uint8
	Flags    uint16
	Pad      uint32
}

type probeTable struct {
	_        structs.HostLayout
	LastOp   uint8
	OpsLen   uint8
	Reserved uint16
	Pad      [3]uint32
	Ops      [256]probeOp
}

// Operations.
const (
	OpcodeNop           = 0
	OpcodeReadv         = 1
	OpcodeWritev        = 2
	OpcodeFsync         = 3
	OpcodeReadFixed     = 4
	OpcodeWriteFixed    = 5
	OpcodePollAdd       = 6
	OpcodePollRemove    = 7
	OpcodeSendMsg       = 9
	OpcodeRecvMsg       = 10
	OpcodeTimeout       = 11
	OpcodeTimeoutRemove = 12
	OpcodeAccept        = 13
	OpcodeAsyncCancel   = 14
	OpcodeLinkTimeout   = 15
	OpcodeConnect       = 16
	OpcodeClose         = 19
	OpcodeFilesUpdate   = 20
	OpcodeRead          = 22
	OpcodeWrite         = 23
	OpcodeSend          = 26
	OpcodeRecv          = 27
	OpcodeShutdown      = 34 // Kernel: 5.11; always runs on an io-wq thread
	OpcodeMsgRing       = 40 // Kernel: 5.18
	OpcodeSocket        = 45 // Kernel: 5.19
	OpcodeSendZC        = 47 // Kernel: 6.0
	OpcodeSendMsgZC     = 48 // Kernel: 6.1
	opcodeWritevFixed   = 61 // Kernel: 6.15
)

// Flags of an SQE.
const (
	SQEFixedFile      = 1 << 0
	SQEDrain          = 1 << 1
	SQELink           = 1 << 2
	SQEHardlink       = 1 << 3
	SQEAsync          = 1 << 4
	SQEBufferSelect   = 1 << 5
	SQECQESkipSuccess = 1 << 6 // Kernel: 5.17
)

// Flags of single operations.
const (
	RecvSendPollFirst = 1 << 0 // Kernel: 5.19; in IOPrio
	RecvMultishot     = 1 << 1 // Kernel: 6.0; in IOPrio
	RecvSendFixedBuf  = 1 << 2 // Kernel: 6.0; in IOPrio
	RecvSendBundle    = 1 << 4 // Kernel: 6.10; in IOPrio
	SendZCReportUsage = 1 << 3 // Kernel: 6.2; in IOPrio

	AcceptMultishot = 1 << 0 // Kernel: 5.19; in IOPrio

	PollAddMulti = 1 << 0 // Kernel: 5.13; in Len

	CancelAll = 1 << 0 // Kernel: 5.19, like the other two
	CancelFD  = 1 << 1
	CancelAny = 1 << 2

	TimeoutUpdate = 1 << 1

	FsyncDatasync = 1 << 0
)

// Flags of a CQE.
const (
	CQEBuffer       = 1 << 0 // the upper half of Flags is the buffer
	CQEMore         = 1 << 1 // the SQE will complete again
	CQESockNonempty = 1 << 2 // Kernel: 5.19; there is more to receive
	CQENotif        = 1 << 3 // Kernel: 6.0; a zero-copy send lets go of its memory

	CQEBufMore = 1 << 4 // Kernel: 6.12; the kernel goes on with the rest of the buffer

	cqeBufferShift = 16
)

// Flags of io_uring_setup(2).
const (
	SetupSQPoll       = 1 << 1  // Kernel: 5.11 without privileges; a thread of the kernel submits
	SetupSQAff        = 1 << 2  // on the CPU in SQThreadCPU
	SetupCQSize       = 1 << 3  // Kernel: 5.5
	SetupClamp        = 1 << 4  // Kernel: 5.6
	SetupRDisabled    = 1 << 6  // Kernel: 5.10; until EnableRings
	SetupSubmitAll    = 1 << 7  // Kernel: 5.18; one refused SQE does not stop the batch
	SetupCoopTaskrun  = 1 << 8  // Kernel: 5.19; no interrupt to the submitter
	SetupTaskrunFlag  = 1 << 9  // Kernel: 5.19; SQTaskrun says when to enter
	SetupSingleIssuer = 1 << 12 // Kernel: 6.0; one thread submits
	SetupDeferTaskrun = 1 << 13 // Kernel: 6.1; task work only in enter(GETEVENTS)
	SetupNoSQArray    = 1 << 16 // Kernel: 6.6; SQEs are taken in ring order
)

// Features that the kernel reports in Params.
const (
	FeatureSingleMmap   = 1 << 0  // Kernel: 5.4
	FeatureNoDrop       = 1 << 1  // Kernel: 5.5; an overflowing CQ loses nothing
	FeatureSubmitStable = 1 << 2  // Kernel: 5.5; what an SQE points at is copied on submission
	FeatureFastPoll     = 1 << 5  // Kernel: 5.7; sockets wait by poll, not on threads
	FeatureExtArg       = 1 << 8  // Kernel: 5.11; a wait with a time limit
	FeatureCQESkip      = 1 << 11 // Kernel: 5.17
	featureBundle       = 1 << 14 // Kernel: 6.10
	featureMinTimeout   = 1 << 15 // Kernel: 6.12
	FeatureNoIOWait     = 1 << 17 // Kernel: 6.15
)

// Flags of io_uring_enter(2).
const (
	enterGetEvents      = 1 << 0
	enterSQWakeup       = 1 << 1
	enterSQWait         = 1 << 2
	enterExtArg         = 1 << 3 // Kernel: 5.11
	enterRegisteredRing = 1 << 4 // Kernel: 5.18
	enterNoIOWait       = 1 << 7 // Kernel: 6.15; an idle ring is not "waiting for I/O"
)

// Flags that the kernel sets in the SQ ring.
const (
	sqNeedWakeup = 1 << 0
	sqCQOverflow = 1 << 1
	sqTaskrun    = 1 << 2
)

// Opcodes of io_uring_register(2).
const (
	registerBuffers        = 0
	registerProbe          = 8
	registerRestrictions   = 11 // Kernel: 5.10
	registerEnableRings    = 12 // Kernel: 5.10
	registerFiles2         = 13 // Kernel: 5.13
	registerIOWQMaxWorkers = 19 // Kernel: 5.15
	registerRingFDs        = 20 // Kernel: 5.18
	unregisterRingFDs      = 21
	registerPbufRing       = 22 // Kernel: 5.19
	unregisterPbufRing     = 23
	registerSyncCancel     = 24 // Kernel: 6.0
	registerNAPI           = 27 // Kernel: 6.9
	registerSendMsgRing    = 31 // Kernel: 6.13
)

const probeSupported = 1 << 0

// Flags of registrations, and what a restriction is about.
const (
	filesSparse                = 1 << 0
	bufRingIncremental         = 1 << 1 // Kernel: 6.12
	restrictionRegisterOp      = 0
	restrictionSQEOp           = 1
	restrictionSQEFlagsAllowed = 2
)

// Offsets for mmap(2) on the ring's descriptor.
const (
	offSQRing = 0
	offSQEs   = 0x10000000
)
