//go:build linux

package uring

// Each Prep function fills the whole SQE, so nothing of the slot's former use
// can survive (a stale msg_flags turns the next close into EINVAL). UserData,
// Flags and BufGroup are the caller's to set afterwards. Addresses are plain
// numbers: the memory behind them must not move, so it is never on the Go heap
// or a goroutine's stack, and it stays until the operation's last CQE.

// PrepNop does nothing and completes.
func (s *SQE) PrepNop() { *s = SQE{Opcode: OpcodeNop, FD: -1} }

// PrepRead is pread(2); off ^0 means the file's own position.
func (s *SQE) PrepRead(fd int32, addr uintptr, n uint32, off uint64) {
	*s = SQE{Opcode: OpcodeRead, FD: fd, Addr: uint64(addr), Len: n, Off: off}
}

// PrepWrite is pwrite(2).
func (s *SQE) PrepWrite(fd int32, addr uintptr, n uint32, off uint64) {
	*s = SQE{Opcode: OpcodeWrite, FD: fd, Addr: uint64(addr), Len: n, Off: off}
}

// PrepReadFixed reads into a part of registered buffer index.
func (s *SQE) PrepReadFixed(fd int32, addr uintptr, n uint32, off uint64, index uint16) {
	*s = SQE{Opcode: OpcodeReadFixed, FD: fd, Addr: uint64(addr), Len: n, Off: off, BufGroup: index}
}

// PrepWriteFixed writes a part of registered buffer index.
func (s *SQE) PrepWriteFixed(fd int32, addr uintptr, n uint32, off uint64, index uint16) {
	*s = SQE{Opcode: OpcodeWriteFixed, FD: fd, Addr: uint64(addr), Len: n, Off: off, BufGroup: index}
}

// PrepWritevFixed writes parts of registered buffer index, gathered. The
// kernel copies the iovecs on submission. Kernel: 6.15.
func (s *SQE) PrepWritevFixed(fd int32, iovecs uintptr, n uint32, off uint64, index uint16) {
	*s = SQE{Opcode: opcodeWritevFixed, FD: fd, Addr: uint64(iovecs), Len: n, Off: off, BufGroup: index}
}

// PrepReadv is preadv(2).
func (s *SQE) PrepReadv(fd int32, iovecs uintptr, n uint32, off uint64) {
	*s = SQE{Opcode: OpcodeReadv, FD: fd, Addr: uint64(iovecs), Len: n, Off: off}
}

// PrepWritev is pwritev(2).
func (s *SQE) PrepWritev(fd int32, iovecs uintptr, n uint32, off uint64) {
	*s = SQE{Opcode: OpcodeWritev, FD: fd, Addr: uint64(iovecs), Len: n, Off: off}
}

// PrepFsync is fsync(2), or fdatasync(2) with FsyncDatasync.
func (s *SQE) PrepFsync(fd int32, flags uint32) {
	*s = SQE{Opcode: OpcodeFsync, FD: fd, OpFlags: flags}
}

// PrepPollAdd waits for the poll(2) events of mask, once.
func (s *SQE) PrepPollAdd(fd int32, mask uint32) {
	*s = SQE{Opcode: OpcodePollAdd, FD: fd, OpFlags: pollMask(mask)}
}

// PrepPollMultishot reports the events of mask until it is removed.
func (s *SQE) PrepPollMultishot(fd int32, mask uint32) {
	*s = SQE{Opcode: OpcodePollAdd, FD: fd, OpFlags: pollMask(mask), Len: PollAddMulti}
}

// PrepPollRemove ends the poll whose SQE carried userData.
func (s *SQE) PrepPollRemove(userData uint64) {
	*s = SQE{Opcode: OpcodePollRemove, FD: -1, Addr: userData}
}

// PrepAccept is accept4(2) without the peer's address.
func (s *SQE) PrepAccept(fd int32, flags uint32) {
	*s = SQE{Opcode: OpcodeAccept, FD: fd, OpFlags: flags}
}

// PrepAcceptMultishot accepts until cancelled; each CQE with CQEMore carries a
// descriptor. Kernel: 5.19.
func (s *SQE) PrepAcceptMultishot(fd int32, flags uint32) {
	*s = SQE{Opcode: OpcodeAccept, IOPrio: AcceptMultishot, FD: fd, OpFlags: flags}
}

// PrepConnect is connect(2).
func (s *SQE) PrepConnect(fd int32, sockaddr uintptr, n uint32) {
	*s = SQE{Opcode: OpcodeConnect, FD: fd, Addr: uint64(sockaddr), Off: uint64(n)}
}

// PrepSocket is socket(2). Kernel: 5.19.
func (s *SQE) PrepSocket(domain int32, kind, protocol, flags uint32) {
	*s = SQE{Opcode: OpcodeSocket, FD: domain, Off: uint64(kind), Len: protocol, OpFlags: flags}
}

// PrepFilesUpdate puts n descriptors, each 32 bits at addr, in the ring's table
// from place on; -1 frees a place. Kernel: 5.6.
func (s *SQE) PrepFilesUpdate(addr uintptr, n, place uint32) {
	*s = SQE{Opcode: OpcodeFilesUpdate, FD: -1, Addr: uint64(addr), Len: n, Off: uint64(place)}
}

// PrepRecv is recv(2).
func (s *SQE) PrepRecv(fd int32, addr uintptr, n, flags uint32) {
	*s = SQE{Opcode: OpcodeRecv, FD: fd, Addr: uint64(addr), Len: n, OpFlags: flags}
}

// PrepRecvMultishot receives into selected buffers until cancelled; the caller
// adds SQEBufferSelect and the group. n is 0: a limit per completion came only
// in 6.17. Kernel: 6.0.
func (s *SQE) PrepRecvMultishot(fd int32, addr uintptr, n, flags uint32) {
	*s = SQE{Opcode: OpcodeRecv, IOPrio: RecvMultishot, FD: fd, Addr: uint64(addr), Len: n, OpFlags: flags}
}

// PrepRecvMsg is recvmsg(2).
func (s *SQE) PrepRecvMsg(fd int32, msghdr uintptr, flags uint32) {
	*s = SQE{Opcode: OpcodeRecvMsg, FD: fd, Addr: uint64(msghdr), Len: 1, OpFlags: flags}
}

// PrepSend is send(2).
func (s *SQE) PrepSend(fd int32, addr uintptr, n, flags uint32) {
	*s = SQE{Opcode: OpcodeSend, FD: fd, Addr: uint64(addr), Len: n, OpFlags: flags}
}

// PrepSendMsg is sendmsg(2). With FeatureSubmitStable the msghdr and its
// iovecs are copied on submission; the memory they point at is not.
func (s *SQE) PrepSendMsg(fd int32, msghdr uintptr, flags uint32) {
	*s = SQE{Opcode: OpcodeSendMsg, FD: fd, Addr: uint64(msghdr), Len: 1, OpFlags: flags}
}

// PrepSendZC sends without copying; a second CQE with CQENotif says when the
// memory is free. Kernel: 6.0.
func (s *SQE) PrepSendZC(fd int32, addr uintptr, n, flags uint32, zc uint16) {
	*s = SQE{Opcode: OpcodeSendZC, IOPrio: zc, FD: fd, Addr: uint64(addr), Len: n, OpFlags: flags}
}

// PrepSendZCFixed is PrepSendZC from a part of registered buffer index.
func (s *SQE) PrepSendZCFixed(fd int32, addr uintptr, n, flags uint32, zc, index uint16) {
	*s = SQE{Opcode: OpcodeSendZC, IOPrio: zc | RecvSendFixedBuf, FD: fd, Addr: uint64(addr), Len: n,
		OpFlags: flags, BufGroup: index}
}

// PrepSendMsgZC is PrepSendZC for a msghdr. Kernel: 6.1.
func (s *SQE) PrepSendMsgZC(fd int32, msghdr uintptr, flags uint32) {
	*s = SQE{Opcode: OpcodeSendMsgZC, FD: fd, Addr: uint64(msghdr), Len: 1, OpFlags: flags}
}

// PrepCancel cancels the operation whose SQE carried userData.
func (s *SQE) PrepCancel(userData uint64, flags uint32) {
	*s = SQE{Opcode: OpcodeAsyncCancel, FD: -1, Addr: userData, OpFlags: flags}
}

// PrepCancelFD cancels what is outstanding on fd. Kernel: 5.19.
func (s *SQE) PrepCancelFD(fd int32, flags uint32) {
	*s = SQE{Opcode: OpcodeAsyncCancel, FD: fd, OpFlags: flags | CancelFD}
}

// PrepClose is close(2).
func (s *SQE) PrepClose(fd int32) { *s = SQE{Opcode: OpcodeClose, FD: fd} }

// PrepShutdown is shutdown(2). The kernel always runs it on a thread of its
// own: where that matters, make the system call instead. Kernel: 5.11.
func (s *SQE) PrepShutdown(fd int32, how uint32) {
	*s = SQE{Opcode: OpcodeShutdown, FD: fd, Len: how}
}

// PrepTimeout completes with ETIME at the __kernel_timespec at ts, or after
// count other completions.
func (s *SQE) PrepTimeout(ts uintptr, count, flags uint32) {
	*s = SQE{Opcode: OpcodeTimeout, FD: -1, Addr: uint64(ts), Len: 1, Off: uint64(count), OpFlags: flags}
}

// PrepTimeoutRemove ends the timeout whose SQE carried userData.
func (s *SQE) PrepTimeoutRemove(userData uint64, flags uint32) {
	*s = SQE{Opcode: OpcodeTimeoutRemove, FD: -1, Addr: userData, OpFlags: flags}
}

// PrepTimeoutUpdate gives the timeout whose SQE carried userData a new time.
func (s *SQE) PrepTimeoutUpdate(ts uintptr, userData uint64, flags uint32) {
	*s = SQE{Opcode: OpcodeTimeoutRemove, FD: -1, Addr: userData, Off: uint64(ts), OpFlags: flags | TimeoutUpdate}
}

// PrepLinkTimeout limits the time of the SQE before it, which carries SQELink.
func (s *SQE) PrepLinkTimeout(ts uintptr, flags uint32) {
	*s = SQE{Opcode: OpcodeLinkTimeout, FD: -1, Addr: uint64(ts), Len: 1, OpFlags: flags}
}

// PrepMsgRing posts a CQE with res and userData on the ring whose descriptor
// is fd. Kernel: 5.18.
func (s *SQE) PrepMsgRing(fd int32, res uint32, userData uint64, flags uint32) {
	*s = SQE{Opcode: OpcodeMsgRing, FD: fd, Len: res, Off: userData, OpFlags: flags}
}
