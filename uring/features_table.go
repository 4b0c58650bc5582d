//go:build linux

package uring

import "strings"

// The parts of a row that repeat.
const (
	served  = "epoll serves instead"
	unused  = "nothing changes"
	bySetUp = "a ring with it"
	byRep   = "ring's features"
	byList  = "opcode list"
	byReg   = "registration"
	byRun   = "an operation"
)

const (
	deferring = SetupSingleIssuer | SetupDeferTaskrun
	wholeSQ   = SetupNoSQArray | setupSQRewind
)

// featureTable has a row for everything that a kernel's io_uring may or may
// not have and that matters to serving sockets: first what an engine can't do
// without, then what it uses by default, then what a setting makes it use, then
// the rest, each in the order of kernels. A test holds it against the engine's
// source.
func featureTable() []row {
	rows := append(requiredFeatures(), usedFeatures()...)
	return append(append(rows, optionalFeatures()...), otherFeatures()...)
}

func requiredFeatures() []row {
	needs := func(name, since, probed string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: served, Used: true, Required: true}, try}
	}
	return []row{
		needs("io_uring", "5.1", "a ring", tryAnyRing),
		needs("SINGLE_MMAP", "5.4", byRep, byBit(FeatureSingleMmap)),
		needs("NODROP", "5.5", byRep, byBit(FeatureNoDrop)),
		needs("SUBMIT_STABLE", "5.5", byRep, byBit(FeatureSubmitStable)),
		needs("CQSIZE", "5.5", bySetUp, bySetup(SetupCQSize)),
		needs("socket operations", "5.6", byList, byOpcode(OpcodeAccept, OpcodeConnect, OpcodeRecv, OpcodeSend, OpcodeSendMsg,
			OpcodeAsyncCancel, OpcodeClose, OpcodeRead, OpcodePollAdd)),
		needs("FAST_POLL", "5.7", byRep, byBit(FeatureFastPoll)),
		needs("EXT_ARG", "5.11", byRep, byBit(FeatureExtArg)),
		needs("CQE_SKIP", "5.17", byRep, byBit(FeatureCQESkip)),
		needs("multishot accept", "5.19", byRun, byRing(0, tryMultishotAccept)),
		needs("buffer rings", "5.19", byReg, byRing(0, tryBufRing(0))),
		needs("CANCEL_ANY, CANCEL_ALL", "5.19", byRun, byRing(0, tryCancelAll)),
		needs("RECVSEND_POLL_FIRST", "5.19", byRun, byRing(0, tryReceive(RecvSendPollFirst, 0))),
		needs("SOCKET", "5.19", byList, byOpcode(OpcodeSocket)),
	}
}

func usedFeatures() []row {
	uses := func(name, since, probed, without string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: without, Used: true}, try}
	}
	return []row{
		uses("CLAMP", "5.6", bySetUp, "queues that are too long are refused", bySetup(SetupClamp)),
		uses("IOWQ_MAX_WORKERS", "5.15", byReg, "kernel threads are not bounded", byRegister("IOWQ_MAX_WORKERS", 0,
			func(_ *prober, r *Ring) error { _, err := r.RegisterIOWQMaxWorkers(0, 0); return err })), // asks only: the limit would stay with the thread
		uses("SUBMIT_ALL", "5.18", bySetUp, "a refused operation ends its batch", bySetup(SetupSubmitAll)),
		uses("COOP_TASKRUN", "5.19", bySetUp, "the kernel interrupts to complete", bySetup(SetupCoopTaskrun)),
		uses("TASKRUN_FLAG", "5.19", bySetUp, "the kernel interrupts to complete", bySetup(SetupCoopTaskrun|SetupTaskrunFlag)),
		uses("SOCK_NONEMPTY", "5.19", byRun, "single receives look once more", byRing(0, tryReceive(0, CQESockNonempty))),
		uses("multishot receive", "6.0", byRun, "one submission for each receive", byRing(0, tryMultishotRecv(0))),
		uses("SINGLE_ISSUER", "6.0", bySetUp, "the kernel expects many submitters", bySetup(SetupSingleIssuer)),
		uses("DEFER_TASKRUN", "6.1", bySetUp, "completions come unbatched", bySetup(deferring)),
		uses("NO_SQARRAY", "6.6", bySetUp, "one more memory access a submission", bySetup(SetupNoSQArray)),
		uses("io_uring_disabled", "6.6", "the sysctl", "only seccomp or an LSM can forbid it", trySysctl),
		uses("NO_IOWAIT", "6.15", byRep, "idle processors count as I/O wait", byBit(FeatureNoIOWait)),
		uses("multishot receive limit", "6.17", byRun, "a flooding client is stopped later", byRing(0, tryMultishotRecv(4))),
	}
}

// optionalFeatures are off by default: the table of settings says what switches each on.
func optionalFeatures() []row {
	either := func(name, since, probed, without string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: without, Settings: switchesOn(name)}, try}
	}
	needs := func(name, since, probed string, try func(*prober) error) row {
		return either(name, since, probed, "refused: "+strings.Join(switchesOn(name), ", "), try)
	}
	return []row{
		needs("registered buffers", "5.1", byRun, byRing(0, tryFixed)),
		needs("RESTRICTIONS", "5.10", byReg, byRegister("RESTRICTIONS", SetupRDisabled, tryRestrict)),
		needs("SQPOLL", "5.11", bySetUp, bySetup(SetupSQPoll)),
		needs("MSG_RING", "5.18", byList, byOpcode(OpcodeMsgRing)),
		needs("registered ring fd", "5.18", byReg, byRegister("RING_FDS", 0,
			func(_ *prober, r *Ring) error { return r.tryRingFD() })),
		needs("SEND_ZC", "6.0", byList, byOpcode(OpcodeSendZC)),
		either("SENDMSG_ZC", "6.1", byList, "gathered sends are copied", byOpcode(OpcodeSendMsgZC)),
		needs("NAPI", "6.9", byReg, byRegister("NAPI", 0, func(_ *prober, r *Ring) error { return r.RegisterNAPI(0) })),
		needs("RECVSEND_BUNDLE", "6.10", byRep, byBit(featureBundle)),
		needs("incremental buffers", "6.12", byRun, byRing(0, (*prober).tryInOrder)),
		needs("MIN_TIMEOUT", "6.12", byRep, byBit(featureMinTimeout)),
		needs("direct descriptors", "6.13", byRun, byRing(0, (*prober).tryLetGo)),
		needs("SEND_MSG_RING", "6.13", byReg, byRing(0, trySendMsgRing)),
		either("WRITEV_FIXED", "6.15", byList, "gathered sends go as usual", byOpcode(opcodeWritevFixed)),
	}
}

// otherFeatures are used by no engine, whatever the settings.
func otherFeatures() []row {
	knows := func(name, since, probed string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: unused}, try}
	}
	return []row{
		knows("IOPOLL", "5.1", bySetUp, bySetup(setupIOPoll)),
		knows("ATTACH_WQ", "5.6", bySetUp, tryAttach),
		knows("NATIVE_WORKERS", "5.12", byRep, byBit(featureNativeWorkers)),
		knows("SQE128", "5.19", bySetUp, bySetup(setupSQE128)),
		knows("SYNC_CANCEL", "6.0", byReg, byRegister("SYNC_CANCEL", 0, trySyncCancel)),
		knows("multishot timeout", "6.4", byRun, byRing(0, tryMultishotTimeout)),
		knows("FUTEX_WAIT", "6.7", byList, byOpcode(opcodeFutexWait)),
		knows("WAITID", "6.7", byList, byOpcode(opcodeWaitID)),
		knows("PBUF_STATUS", "6.8", byReg, byRing(0, tryBufRingStatus)),
		knows("FIXED_FD_INSTALL", "6.8", byList, byOpcode(opcodeFixedFDInstall)),
		knows("ACCEPT_DONTWAIT", "6.10", byRun, byRing(0, tryAcceptDontWait)),
		knows("BIND, LISTEN", "6.11", byList, byOpcode(opcodeBind, opcodeListen)),
		knows("CLOCK", "6.12", byReg, byRegister("CLOCK", 0, func(_ *prober, r *Ring) error { return r.tryClock() })),
		knows("RESIZE_RINGS", "6.13", byReg, byRegister("RESIZE_RINGS", deferring,
			func(_ *prober, r *Ring) error { return r.tryResize(2*probeRingEntries, 4*probeRingEntries) })),
		knows("wait regions", "6.13", byReg, byRegister("MEM_REGION", SetupRDisabled,
			func(p *prober, r *Ring) error { return r.tryWaitRegion(p.data, p.note) })),
		knows("HYBRID_IOPOLL", "6.13", bySetUp, bySetup(setupIOPoll|setupHybridIOPoll)),
		knows("RECV_ZC", "6.15", byList, byOpcode(opcodeRecvZC)),
		knows("EPOLL_WAIT", "6.15", byList, byOpcode(opcodeEpollWait)),
		knows("CQE_MIXED", "6.18", bySetUp, bySetup(setupCQEMixed)),
		knows("SQ_REWIND", "7.0", bySetUp, bySetup(wholeSQ)),
		knows("BPF filter", "7.0", byReg, tryBPF),
	}
}
