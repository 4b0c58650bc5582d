//go:build linux

package uring

// The parts of a row that repeat.
const (
	served  = "epoll serves instead"
	unused  = "nothing changes: kring does not use it"
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
// without, then what it uses, then the rest, each in the order of kernels.
func featureTable() []row {
	return append(append(requiredFeatures(), usedFeatures()...), otherFeatures()...)
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
		needs("CLAMP", "5.6", bySetUp, bySetup(SetupClamp)),
		needs("socket operations", "5.6", byList, byOpcode(OpcodeAccept, OpcodeRecv, OpcodeSend, OpcodeSendMsg,
			OpcodeAsyncCancel, OpcodeClose, OpcodeRead, OpcodePollAdd)),
		needs("FAST_POLL", "5.7", byRep, byBit(FeatureFastPoll)),
		needs("EXT_ARG", "5.11", byRep, byBit(FeatureExtArg)),
		needs("CQE_SKIP", "5.17", byRep, byBit(FeatureCQESkip)),
		needs("multishot accept", "5.19", byRun, byRing(0, tryMultishotAccept)),
		needs("buffer rings", "5.19", byReg, byRing(0, tryBufRing(0))),
		needs("CANCEL_FD, CANCEL_ALL", "5.19", byRun, byRing(0, tryCancelFD)),
		needs("RECVSEND_POLL_FIRST", "5.19", byRun, byRing(0, tryReceive(RecvSendPollFirst, 0))),
		needs("SOCKET", "5.19", byList, byOpcode(OpcodeSocket)),
	}
}

func usedFeatures() []row {
	uses := func(name, since, probed, without string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: without, Used: true}, try}
	}
	return []row{
		uses("NATIVE_WORKERS", "5.12", byRep, "rings count against memlock", byBit(featureNativeWorkers)),
		uses("IOWQ_MAX_WORKERS", "5.15", byReg, "kernel threads are not bounded", byRegister("IOWQ_MAX_WORKERS", 0,
			func(_ *prober, r *Ring) error { _, err := r.RegisterIOWQMaxWorkers(1, 1); return err })),
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
	}
}

func otherFeatures() []row {
	knows := func(name, since, probed string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: unused}, try}
	}
	offers := func(name, since, probed, setting string, try func(*prober) error) row {
		return row{Feature{Name: name, Since: since, Probed: probed, Without: "setting " + setting + " is refused"}, try}
	}
	return []row{
		offers("registered buffers", "5.1", byRun, "recv=fixed, send=fixed", byRing(0, tryFixed)),
		knows("IOPOLL", "5.1", bySetUp, bySetup(setupIOPoll)),
		knows("ATTACH_WQ", "5.6", bySetUp, tryAttach),
		offers("RESTRICTIONS", "5.10", byReg, "restrict", byRegister("RESTRICTIONS", SetupRDisabled, tryRestrict)),
		offers("SQPOLL", "5.11", bySetUp, "sqpoll", bySetup(SetupSQPoll)),
		knows("MSG_RING", "5.18", byList, byOpcode(OpcodeMsgRing)),
		offers("registered ring fd", "5.18", byReg, "registered-ring", byRegister("RING_FDS", 0,
			func(_ *prober, r *Ring) error { return r.tryRingFD() })),
		knows("SQE128", "5.19", bySetUp, bySetup(setupSQE128)),
		offers("direct descriptors", "6.13", byRun, "direct-fds", byRing(0, (*prober).tryLetGo)),
		knows("SYNC_CANCEL", "6.0", byReg, byRegister("SYNC_CANCEL", 0, trySyncCancel)),
		offers("SEND_ZC", "6.0", byList, "zero-copy-bytes", byOpcode(OpcodeSendZC)),
		{Feature{Name: "SENDMSG_ZC", Since: "6.1", Probed: byList, Without: "with zero-copy-bytes, gathered sends are copied"},
			byOpcode(OpcodeSendMsgZC)},
		knows("multishot timeout", "6.4", byRun, byRing(0, tryMultishotTimeout)),
		knows("FUTEX_WAIT", "6.7", byList, byOpcode(opcodeFutexWait)),
		knows("WAITID", "6.7", byList, byOpcode(opcodeWaitID)),
		knows("PBUF_STATUS", "6.8", byReg, byRing(0, tryBufRingStatus)),
		knows("FIXED_FD_INSTALL", "6.8", byList, byOpcode(opcodeFixedFDInstall)),
		offers("NAPI", "6.9", byReg, "napi-busy-poll", byRegister("NAPI", 0, func(_ *prober, r *Ring) error { return r.RegisterNAPI(0) })),
		offers("RECVSEND_BUNDLE", "6.10", byRep, "bundles", byBit(featureBundle)),
		knows("ACCEPT_DONTWAIT", "6.10", byRun, byRing(0, tryAcceptDontWait)),
		knows("BIND, LISTEN", "6.11", byList, byOpcode(opcodeBind, opcodeListen)),
		offers("incremental buffers", "6.12", byRun, "incremental", byRing(0, (*prober).tryInOrder)),
		offers("MIN_TIMEOUT", "6.12", byRep, "min-wait", byBit(featureMinTimeout)),
		knows("CLOCK", "6.12", byReg, byRegister("CLOCK", 0, func(_ *prober, r *Ring) error { return r.tryClock() })),
		offers("SEND_MSG_RING", "6.13", byReg, "wake=msg-ring", byRing(0, trySendMsgRing)),
		knows("RESIZE_RINGS", "6.13", byReg, byRegister("RESIZE_RINGS", deferring,
			func(_ *prober, r *Ring) error { return r.tryResize(2*probeRingEntries, 4*probeRingEntries) })),
		knows("wait regions", "6.13", byReg, byRegister("MEM_REGION", SetupRDisabled,
			func(p *prober, r *Ring) error { return r.tryWaitRegion(p.data, p.note) })),
		knows("HYBRID_IOPOLL", "6.13", bySetUp, bySetup(setupIOPoll|setupHybridIOPoll)),
		{Feature{Name: "WRITEV_FIXED", Since: "6.15", Probed: byList, Without: "with send=fixed, gathered sends go as usual"},
			byOpcode(opcodeWritevFixed)},
		knows("RECV_ZC", "6.15", byList, byOpcode(opcodeRecvZC)),
		knows("EPOLL_WAIT", "6.15", byList, byOpcode(opcodeEpollWait)),
		knows("multishot receive limit", "6.17", byRun, byRing(0, tryMultishotRecv(4))),
		knows("CQE_MIXED", "6.18", bySetUp, bySetup(setupCQEMixed)),
		knows("SQ_REWIND", "7.0", bySetUp, bySetup(wholeSQ)),
		knows("BPF filter", "7.0", byReg, tryBPF),
	}
}
