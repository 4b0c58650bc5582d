//go:build linux && giouring && (amd64 || arm64)

package uring

import (
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

type theirs = giouring.SubmissionQueueEntry

func TestGiouringsStructsHaveOurSizes(t *testing.T) {
	if a, b := unsafe.Sizeof(theirs{}), unsafe.Sizeof(SQE{}); a != b {
		t.Errorf("SQE: %d and %d bytes", a, b)
	}
	if a, b := unsafe.Sizeof(giouring.CompletionQueueEvent{}), unsafe.Sizeof(CQE{}); a != b {
		t.Errorf("CQE: %d and %d bytes", a, b)
	}
	if a, b := unsafe.Sizeof(giouring.Params{}), unsafe.Sizeof(Params{}); a != b {
		t.Errorf("Params: %d and %d bytes", a, b)
	}
}

// Operands of every kind, each different, so that a mixed-up field shows. The
// memory is static: its addresses are the same for both.
var (
	operand     [64]byte
	operandMsg  syscall.Msghdr
	operandSpec syscall.Timespec
	addr        = uintptr(unsafe.Pointer(&operand[0]))
	msgAddr     = uintptr(unsafe.Pointer(&operandMsg))
	specAddr    = uintptr(unsafe.Pointer(&operandSpec))
)

const (
	aFD     = 11
	aLen    = 22
	anOff   = 33
	anIndex = 44
	aUser   = 0x5566778899aabbcc
	aFlag   = unix.MSG_NOSIGNAL | unix.MSG_WAITALL
)

// TestEncodingsAgreeWithGiouring compares all 64 bytes, for every operation
// that both have and giouring encodes right.
func TestEncodingsAgreeWithGiouring(t *testing.T) {
	for _, c := range []struct {
		name   string
		ours   func(*SQE)
		theirs func(*theirs)
	}{
		{"nop", (*SQE).PrepNop, (*theirs).PrepareNop},
		{"read", func(q *SQE) { q.PrepRead(aFD, addr, aLen, anOff) }, func(q *theirs) { q.PrepareRead(aFD, addr, aLen, anOff) }},
		{"write", func(q *SQE) { q.PrepWrite(aFD, addr, aLen, anOff) }, func(q *theirs) { q.PrepareWrite(aFD, addr, aLen, anOff) }},
		{"read_fixed", func(q *SQE) { q.PrepReadFixed(aFD, addr, aLen, anOff, anIndex) },
			func(q *theirs) { q.PrepareReadFixed(aFD, addr, aLen, anOff, anIndex) }},
		{"write_fixed", func(q *SQE) { q.PrepWriteFixed(aFD, addr, aLen, anOff, anIndex) },
			func(q *theirs) { q.PrepareWriteFixed(aFD, addr, aLen, anOff, anIndex) }},
		{"readv", func(q *SQE) { q.PrepReadv(aFD, addr, aLen, anOff) }, func(q *theirs) { q.PrepareReadv(aFD, addr, aLen, anOff) }},
		{"writev", func(q *SQE) { q.PrepWritev(aFD, addr, aLen, anOff) }, func(q *theirs) { q.PrepareWritev(aFD, addr, aLen, anOff) }},
		{"fsync", func(q *SQE) { q.PrepFsync(aFD, FsyncDatasync) }, func(q *theirs) { q.PrepareFsync(aFD, giouring.FsyncDatasync) }},
		{"poll_add", func(q *SQE) { q.PrepPollAdd(aFD, unix.POLLIN) }, func(q *theirs) { q.PreparePollAdd(aFD, unix.POLLIN) }},
		{"poll_multishot", func(q *SQE) { q.PrepPollMultishot(aFD, unix.POLLIN) },
			func(q *theirs) { q.PreparePollMultishot(aFD, unix.POLLIN) }},
		{"poll_remove", func(q *SQE) { q.PrepPollRemove(aUser) }, func(q *theirs) { q.PreparePollRemove(aUser) }},
		{"accept", func(q *SQE) { q.PrepAccept(aFD, unix.SOCK_CLOEXEC) },
			func(q *theirs) { q.PrepareAccept(aFD, 0, 0, unix.SOCK_CLOEXEC) }},
		{"accept_multishot", func(q *SQE) { q.PrepAcceptMultishot(aFD, unix.SOCK_CLOEXEC) },
			func(q *theirs) { q.PrepareMultishotAccept(aFD, 0, 0, unix.SOCK_CLOEXEC) }},
		{"connect", func(q *SQE) { q.PrepConnect(aFD, addr, aLen) },
			func(q *theirs) { q.PrepareConnect(aFD, (*syscall.Sockaddr)(unsafe.Pointer(&operand[0])), aLen) }},
		{"socket", func(q *SQE) { q.PrepSocket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP, 0) },
			func(q *theirs) { q.PrepareSocket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP, 0) }},
		{"recv", func(q *SQE) { q.PrepRecv(aFD, addr, aLen, aFlag) }, func(q *theirs) { q.PrepareRecv(aFD, addr, aLen, aFlag) }},
		{"recv_multishot", func(q *SQE) { q.PrepRecvMultishot(aFD, addr, aLen, aFlag) },
			func(q *theirs) { q.PrepareRecvMultishot(aFD, addr, aLen, aFlag) }},
		{"recvmsg", func(q *SQE) { q.PrepRecvMsg(aFD, msgAddr, aFlag) },
			func(q *theirs) { q.PrepareRecvMsg(aFD, &operandMsg, aFlag) }},
		{"send", func(q *SQE) { q.PrepSend(aFD, addr, aLen, aFlag) }, func(q *theirs) { q.PrepareSend(aFD, addr, aLen, aFlag) }},
		{"sendmsg", func(q *SQE) { q.PrepSendMsg(aFD, msgAddr, aFlag) }, func(q *theirs) { q.PrepareSendMsg(aFD, &operandMsg, aFlag) }},
		{"sendmsg_zc", func(q *SQE) { q.PrepSendMsgZC(aFD, msgAddr, aFlag) },
			func(q *theirs) { q.PrepareSendmsgZC(aFD, &operandMsg, aFlag) }},
		{"cancel", func(q *SQE) { q.PrepCancel(aUser, CancelAll) }, func(q *theirs) { q.PrepareCancel64(aUser, CancelAll) }},
		{"cancel_fd", func(q *SQE) { q.PrepCancelFD(aFD, CancelAll) }, func(q *theirs) { q.PrepareCancelFd(aFD, CancelAll) }},
		{"close", func(q *SQE) { q.PrepClose(aFD) }, func(q *theirs) { q.PrepareClose(aFD) }},
		{"shutdown", func(q *SQE) { q.PrepShutdown(aFD, unix.SHUT_RDWR) }, func(q *theirs) { q.PrepareShutdown(aFD, unix.SHUT_RDWR) }},
		{"msg_ring", func(q *SQE) { q.PrepMsgRing(aFD, aLen, aUser, 1) }, func(q *theirs) { q.PrepareMsgRing(aFD, aLen, aUser, 1) }},
	} {
		var ours SQE
		var other theirs
		c.ours(&ours)
		c.theirs(&other)
		if got := *(*SQE)(unsafe.Pointer(&other)); got != ours { // Sound: the same size, see above
			t.Errorf("%s:\nours      %+v\ngiouring's %+v", c.name, ours, got)
		}
	}
}

// TestGiouringsErrorsAreStillThere names the operations that giouring encodes
// wrong, and why ours differ. One that stops to differ belongs in the table
// above.
func TestGiouringsErrorsAreStillThere(t *testing.T) {
	buf := operand[:aLen]
	for _, c := range []struct {
		name   string
		why    string
		ours   func(*SQE)
		theirs func(*theirs)
	}{
		{"send_zc", "the address is that of the slice's header, so the peer receives pointers and the memory behind them",
			func(q *SQE) { q.PrepSendZC(aFD, addr, aLen, aFlag, 0) }, func(q *theirs) { q.PrepareSendZC(aFD, buf, aFlag, 0) }},
		{"send_zc_fixed", "the same",
			func(q *SQE) { q.PrepSendZCFixed(aFD, addr, aLen, aFlag, 0, anIndex) },
			func(q *theirs) { q.PrepareSendZCFixed(aFD, buf, aFlag, 0, anIndex) }},
		{"timeout", "the address is that of a local pointer, so the time is whatever lies there",
			func(q *SQE) { q.PrepTimeout(specAddr, 3, 0) }, func(q *theirs) { q.PrepareTimeout(&operandSpec, 3, 0) }},
		{"timeout_remove", "the address is that of a local time, where the kernel reads the user data to look for",
			func(q *SQE) { q.PrepTimeoutRemove(aUser, 0) }, func(q *theirs) { q.PrepareTimeoutRemove(time.Second, 3, 0) }},
		{"timeout_update", "the same",
			func(q *SQE) { q.PrepTimeoutUpdate(specAddr, aUser, 0) },
			func(q *theirs) { q.PrepareTimeoutUpdate(time.Second, aUser, 0) }},
		{"link_timeout", "the address is that of a local time, which is gone before the kernel reads it",
			func(q *SQE) { q.PrepLinkTimeout(specAddr, 0) }, func(q *theirs) { q.PrepareLinkTimeout(time.Second, 0) }},
	} {
		var ours SQE
		var other theirs
		c.ours(&ours)
		c.theirs(&other)
		if *(*SQE)(unsafe.Pointer(&other)) == ours { // Sound: the same size, see above
			t.Errorf("%s agrees now; it used to differ: %s", c.name, c.why)
		}
	}
}

// TestGiouringLeavesTheFormerOperationsFields is why GetSQE zeroes the entry
// also on giouring's ring.
func TestGiouringLeavesTheFormerOperationsFields(t *testing.T) {
	used := dirty()
	other := (*theirs)(unsafe.Pointer(&used)) // Sound: the same size, see above
	other.PrepareClose(aFD)
	if used.OpFlags == 0 && used.Addr3 == 0 && used.Pad == 0 {
		t.Error("PrepareClose fills the whole entry now")
	}
	used = dirty()
	used.PrepClose(aFD)
	if used != (SQE{Opcode: OpcodeClose, FD: aFD}) {
		t.Errorf("PrepClose leaves something: %+v", used)
	}
}
