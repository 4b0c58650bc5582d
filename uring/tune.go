//go:build linux

package uring

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// tune makes the ring do what the Config asks for beyond the usual.
//
// Order: before the first operation, and restrictions last: they end all
// registering, and the ring begins to run with them.
func (e *ringEngine) tune(w engine.Wait) error {
	c := &e.config
	features := e.ring.Params().Features
	if ringFlavour != "" && c.needsOwnRing() {
		return settingError{fmt.Errorf("uring: Config: %s can't do NoSQArray, NoIOWait, MinWait, SQPoll and RegisteredRing: leave them out, or build without its tag", ringFlavour)}
	}
	if c.NoIOWait == On && features&FeatureNoIOWait == 0 {
		return demand("NoIOWait", c.NoIOWait, "NO_IOWAIT (6.15)")
	}
	if c.Bundles && features&featureBundle == 0 {
		return demand("Bundles", c.Bundles, "RECVSEND_BUNDLE (6.10)")
	}
	e.ring.SetNoIOWait(c.NoIOWait != Off)
	if w == engine.WaitLocked {
		if err := e.tuneLocked(features); err != nil {
			return err
		}
	}
	if !c.Restrict {
		return nil
	}
	more := append(c.fixedOps(e.can), e.can.zeroCopyOps...)
	if c.DirectFDs {
		more = append(more, OpcodeFilesUpdate)
	}
	if err := e.ring.registerRestrictions(allowances(more...)); err != nil {
		return registerError("RESTRICTIONS", err)
	}
	if err := e.ring.EnableRings(); err != nil {
		return registerError("ENABLE_RINGS", err)
	}
	return nil
}

// needsOwnRing: what another ring than ours has no way to do.
func (c *Config) needsOwnRing() bool {
	return c.NoSQArray == On || c.NoIOWait == On || c.MinWait > 0 || c.RegisteredRing || c.SQPoll > 0
}

func (e *ringEngine) tuneLocked(features uint32) error {
	c := &e.config
	if c.MinWait > 0 {
		if features&featureMinTimeout == 0 {
			return demand("MinWait", c.MinWait, "MIN_TIMEOUT (6.12)")
		}
		e.ring.SetMinWait(uint32(c.MinWaitCompletions), c.MinWait)
	}
	if c.NAPIBusyPoll > 0 {
		if err := e.ring.RegisterNAPI(c.NAPIBusyPoll); err == unix.EINVAL || err == unix.EOPNOTSUPP {
			return demand("NAPIBusyPoll", c.NAPIBusyPoll, "NAPI (6.9, and CONFIG_NET_RX_BUSY_POLL)")
		} else if err != nil {
			return registerError("NAPI", err)
		}
	}
	if c.RegisteredRing {
		switch err := e.ring.RegisterRingFD(); err {
		case nil:
		case unix.EINVAL, unix.EOPNOTSUPP:
			return demand("RegisteredRing", c.RegisteredRing, "RING_FDS (5.18)")
		default:
			return registerError("RING_FDS", err)
		}
	}
	return nil
}

// allowances are all that an engine's ring does once it runs, and more.
func allowances(more ...uint8) []restriction {
	allowed := []restriction{
		{Opcode: restrictionSQEFlagsAllowed, SQEOp: SQEBufferSelect | SQECQESkipSuccess | SQEFixedFile | SQEAsync},
		{Opcode: restrictionRegisterOp, SQEOp: unregisterRingFDs},
	}
	for _, o := range append(more, OpcodeAccept, OpcodeRecv, OpcodeSend, OpcodeSendMsg, OpcodeAsyncCancel, OpcodeClose,
		OpcodeRead, OpcodePollAdd, OpcodeTimeout, OpcodeTimeoutRemove) {
		allowed = append(allowed, restriction{Opcode: restrictionSQEOp, SQEOp: o})
	}
	return allowed
}

// bind keeps the owner's thread on one CPU, until unbind.
func (e *ringEngine) bind(cpu int) error {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("uring: sched_getaffinity: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("uring: CPU %d: sched_setaffinity: %w", cpu, err)
	}
	e.unbound = &before
	return nil
}

// unbind lets the thread go where it could before: it outlives the engine.
func (e *ringEngine) unbind() error {
	if e.unbound == nil {
		return nil
	}
	err := unix.SchedSetaffinity(0, e.unbound)
	e.unbound = nil
	return err
}

// checkCPUs asks for each of them, so that a wrong one fails New and not the
// engine that would be bound to it.
func (c *Config) checkCPUs() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, of := range []struct {
		field string
		cpus  []int
	}{{"CPUs", c.CPUs}, {"SQPollCPUs", c.SQPollCPUs}} {
		for _, cpu := range of.cpus {
			var e ringEngine
			if err := e.bind(cpu); err != nil {
				return settingError{fmt.Errorf("uring: Config.%s has %d, which can't be had (%w): name CPUs that this process may use (nproc, taskset -p $$; %d of them)", of.field, cpu, err, runtime.NumCPU())}
			}
			if err := e.unbind(); err != nil {
				return fmt.Errorf("uring: sched_setaffinity: %w", err)
			}
		}
	}
	return nil
}

// look looks for completions before sleeping, at most for BusyPoll, and says
// whether the sleep is not needed. between is called between looks.
func (e *ringEngine) look(a *alarm, wait time.Duration, between func()) (bool, error) {
	if err := e.submitPending(); err != nil {
		return false, err
	}
	limit := e.lookout.begin(&e.config)
	if limit == 0 {
		return false, nil
	}
	found := false
	defer func() { e.lookout.end(found) }()
	if wait > 0 {
		limit = min(limit, wait)
	}
	for start := time.Now(); ; {
		if e.ring.NeedsEnter() {
			if err := e.submit(); err != nil {
				return false, err
			}
		}
		if e.ring.CQReady() > 0 || a.state.Load() == rung {
			found = true
			return true, nil
		}
		if time.Since(start) >= limit {
			return false, nil
		}
		if between != nil {
			between()
		}
	}
}

// messenger sleeps as inKernel does, and is woken by a CQE that the waker posts
// on the ring. Kernel: 6.13.
type messenger struct {
	inKernel
	raw  syscall.RawConn
	post func(fd uintptr)
}

func openMessenger(e *ringEngine) (sleeper, error) {
	// On no ring: a kernel that knows the registration looks for the ring first.
	if (registrar{fd: -1, last: e.ring.last}).message(0) == unix.EINVAL {
		return nil, demand("Wake", e.config.Wake, "SEND_MSG_RING (6.13)")
	}
	// A duplicate, because a File's control is safe against a concurrent
	// Close, and a descriptor's number is not.
	fd, err := unix.FcntlInt(uintptr(e.ring.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("uring: duplicate of the ring: %w (EMFILE: raise the limit of open files)", err)
	}
	m := &messenger{inKernel: inKernel{eventfd: eventfd{int32(fd), os.NewFile(uintptr(fd), "kring-wake")}, wakes: &e.counters}}
	if m.raw, err = m.file.SyscallConn(); err != nil {
		_ = m.file.Close()
		return nil, fmt.Errorf("uring: wake by messages: %w", err)
	}
	last := e.ring.last
	m.post = func(fd uintptr) {
		// The kernel may be out of memory for the CQE: the owner sleeps until
		// it has some, so nobody else will try.
		for range makeRoomTriesMax {
			if (registrar{fd: int(fd), last: last}).message(userData(opMessage, 0, 0)) == nil {
				return
			}
			runtime.Gosched()
		}
	}
	return m, nil
}

func (m *messenger) wake() {
	if m.ring() != asleep {
		m.wakes.WakesSuppressed.Add(1)
		return
	}
	m.wakes.Wakes.Add(1)
	_ = m.raw.Control(m.post) // fails only after close
}

// woken: a messenger has no wake word.
func (m *messenger) woken(*ringEngine) {}
