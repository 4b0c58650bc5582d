//go:build linux

package uring

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/slab"
)

// selfTestLimit bounds each step of the self-test, which takes less than a millisecond in
// all. A machine with much else to do may take a second for a step, and is no reason to
// do without io_uring.
const selfTestLimit = 10 * time.Second

// probe fills n.can. On a kernel without multishot receive the self-test runs
// again with single receives.
func (n *Network) probe() error {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		if err := n.probeSetup(w); err != nil {
			return err
		}
	}
	for _, t := range usedBy(&n.config) {
		if t.probe != nil {
			if err := t.probe(n); err != nil {
				return err
			}
		}
	}
	if n.config.Recv != RecvMultishotMode {
		return n.selfTest()
	}
	n.can.multishotRecv, n.can.recvLimit = true, n.kernel.recvLimit && !n.config.Bundles
	err := errNoMultishotRecv
	if n.kernel.multishotRecv {
		err = n.selfTest()
	}
	if n.can.recvLimit && errors.Is(err, errNoMultishotRecv) {
		n.can.recvLimit = false
		err = n.selfTest()
	}
	if errors.Is(err, errNoMultishotRecv) {
		n.can.multishotRecv = false
		n.can.missing = append(n.can.missing, "multishot receive (6.0)")
		err = n.selfTest()
	}
	return err
}

func (n *Network) probeSetup(w engine.Wait) error {
	runtime.LockOSThread() // a single-issuer ring is asked by the thread that made it
	defer runtime.UnlockOSThread()
	r, flags, missing, err := n.trySetup(w)
	if err != nil {
		return err
	}
	defer r.Close()
	n.can.flags[w] = flags
	for _, m := range missing {
		if !slices.Contains(n.can.missing, m) {
			n.can.missing = append(n.can.missing, m)
		}
	}
	if err := requireFeatures(r.Params().Features); err != nil {
		return err
	}
	known, err := r.Probe()
	if err != nil {
		return registerError("PROBE", err)
	}
	n.kernel.limit(&known)
	return requireOpcodes(&known)
}

// requireFeatures names the first thing missing without which there is no
// engine here.
func requireFeatures(have uint32) error {
	for _, f := range []struct {
		bit  uint32
		name string
	}{
		{FeatureNoDrop, "completions that are never dropped (NODROP, 5.5)"},
		{FeatureSubmitStable, "stable submission (SUBMIT_STABLE, 5.5)"},
		{FeatureFastPoll, "sockets that wait by poll (FAST_POLL, 5.7)"},
		{FeatureExtArg, "waits with a time limit (EXT_ARG, 5.11)"},
		{FeatureCQESkip, "completions left out on success (CQE_SKIP, 5.17)"},
	} {
		if have&f.bit == 0 {
			return lacks(f.name)
		}
	}
	return nil
}

func requireOpcodes(known *Opcodes) error {
	for _, o := range []struct {
		opcode uint8
		name   string
	}{
		{OpcodeAccept, "ACCEPT"}, {OpcodeRecv, "RECV"}, {OpcodeSend, "SEND"}, {OpcodeSendMsg, "SENDMSG"},
		{OpcodeAsyncCancel, "ASYNC_CANCEL"}, {OpcodeClose, "CLOSE"}, {OpcodeRead, "READ"}, {OpcodeConnect, "CONNECT"},
		// Came together with multishot accept and buffer rings.
		{OpcodeSocket, "the operations of 5.19"},
	} {
		if !known.Has(o.opcode) {
			return lacks(o.name)
		}
	}
	return nil
}

func lacks(what string) error {
	return fmt.Errorf("io_uring: this kernel lacks %s: kring needs 5.19 or later", what)
}

var errNoMultishotRecv = errors.New("io_uring: multishot receive does not work")

// selfTest takes a connection from accept to cancel on a real engine of each
// kind, because kernels exist that accept a flag and then do something else.
func (n *Network) selfTest() error {
	for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
		result := make(chan error)
		go func() {
			if w == engine.WaitLocked {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			result <- n.selfTestOn(w)
		}()
		if err := <-result; err != nil {
			return fmt.Errorf("io_uring self-test, %v engine: %w", w, remedied(err))
		}
	}
	return nil
}

// remedied adds what helps to an error that is the fault of a limit or of a
// filter, and not of the kernel. A filter may refuse io_uring_enter alone.
func remedied(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.EPERM, unix.EACCES, unix.ENOSYS:
		return fmt.Errorf("%w: %s", err, setupCause(errno, readProc))
	}
	return err
}

func (n *Network) selfTestOn(w engine.Wait) error {
	e, err := n.open(w)
	if err != nil {
		return err
	}
	t := &selfTest{engine: e, left: -1}
	err = t.run()
	if closed := e.Close(); err == nil { // else it fails of the same, and the ring is given up
		err = closed
	}
	if t.left >= 0 {
		_ = unix.Close(int(t.left))
	}
	return err
}

// selfTest is one run of it. The sockets are of the Unix kind: io_uring serves
// them as it does TCP, and no network or port need exist yet.
type selfTest struct {
	engine *ringEngine
	done   [8]engine.Completion
	ready  []engine.Completion
	// left is a connection on which something is outstanding after a failure:
	// it is closed when the engine has let go of it. -1: none.
	left engine.FD
}

func (t *selfTest) run() error {
	listener, client, err := unixPair()
	if err != nil {
		return err
	}
	defer unix.Close(client)
	defer unix.Close(int(listener))
	e, lt, ct := t.engine, engine.MakeToken(0, 1), engine.MakeToken(1, 1)

	e.Accept(listener, lt)
	c, err := t.next(engine.OpAccept)
	if err != nil {
		return err
	}
	if c.Res < 0 && c.Errno() != unix.EINVAL {
		return fmt.Errorf("accept: %w", c.Errno())
	}
	if c.Res < 0 || !c.More {
		return lacks("multishot accept (" + describe(c) + ")")
	}
	fd := engine.FD(c.Res)
	if err := t.talk(fd, ct, client); err != nil {
		t.left = fd
		return err
	}
	e.CloseFD(fd, ct)
	if _, err := t.next(engine.OpClose); err != nil {
		return err
	}
	e.Cancel(listener, lt)
	return t.expectCancelled(engine.OpAccept)
}

// talk receives, sends, and cancels a receive on fd, whose peer is client.
func (t *selfTest) talk(fd engine.FD, ct engine.Token, client int) error {
	e, said := t.engine, []byte("kring")
	e.Recv(fd, ct)
	if _, err := unix.Write(client, said); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	c, err := t.next(engine.OpRecv)
	switch {
	case err != nil:
		return err
	case c.Errno() == unix.EINVAL && e.multishotRecv:
		return errNoMultishotRecv
	case c.Res < 0 || !c.More || !bytes.Equal(c.Data, said):
		return fmt.Errorf("received %q (%s), wanted %q", c.Data, describe(c), said)
	}
	e.Recycle(c)
	if err := t.sendBoth(fd, ct, client, said); err != nil {
		return err
	}
	e.Cancel(fd, ct)
	return t.expectCancelled(engine.OpRecv)
}

// sendBoth sends said as one buffer, and as one of two.
func (t *selfTest) sendBoth(fd engine.FD, ct engine.Token, client int, said []byte) error {
	memory, err := slab.Map(len(said))
	if err != nil {
		return err
	}
	defer slab.Unmap(memory)
	slab.Register(memory)
	defer slab.Unregister(memory)
	copy(memory, said)
	for _, bufs := range [][][]byte{{memory}, {memory[:2], memory[2:]}} {
		if err := t.sendAll(fd, ct, bufs); err != nil {
			return fmt.Errorf("sent %d buffers: %w", len(bufs), err)
		}
		heard := make([]byte, len(said))
		if n, err := unix.Read(client, heard); err != nil || !bytes.Equal(heard[:n], said) {
			return fmt.Errorf("the peer got %q (%v), wanted %q", heard[:max(n, 0)], err, said)
		}
	}
	return nil
}

// sendAll sends what is left of bufs until nothing is: the settings may allow
// less in one send, and a socket of this kind takes none without a copy.
func (t *selfTest) sendAll(fd engine.FD, ct engine.Token, bufs [][]byte) error {
	for empty := 0; len(bufs) > 0; {
		t.engine.Send(fd, ct, bufs)
		c, err := t.next(engine.OpSend)
		if err != nil {
			return err
		}
		if c.Res == 0 {
			empty++
		}
		if c.Res < 0 || empty > 1 {
			return errors.New(describe(c))
		}
		for left := int(c.Res); len(bufs) > 0; bufs = bufs[1:] {
			if left < len(bufs[0]) {
				bufs[0] = bufs[0][left:]
				break
			}
			left -= len(bufs[0])
		}
	}
	return nil
}

func (t *selfTest) expectCancelled(op engine.Op) error {
	c, err := t.next(op)
	if err == nil && (c.Errno() != unix.ECANCELED || c.More) {
		err = fmt.Errorf("cancel of %v: %s", op, describe(c))
	}
	return err
}

// next is the next completion, which must be of op.
func (t *selfTest) next(op engine.Op) (*engine.Completion, error) {
	for deadline := time.Now().Add(selfTestLimit); len(t.ready) == 0; {
		n, err := t.engine.Poll(t.done[:], 100*time.Millisecond)
		if err != nil {
			return &engine.Completion{}, err
		}
		if t.ready = t.done[:n]; n == 0 && time.Now().After(deadline) {
			return &engine.Completion{}, fmt.Errorf("no %v completion within %v", op, selfTestLimit)
		}
	}
	c := &t.ready[0]
	t.ready = t.ready[1:]
	if c.Op != op {
		if c.Res < 0 {
			return c, fmt.Errorf("a completion of %v where %v was due: %w", c.Op, op, c.Errno())
		}
		return c, fmt.Errorf("a completion of %v where %v was due", c.Op, op)
	}
	return c, nil
}

func describe(c *engine.Completion) string {
	if c.Res < 0 {
		return unix.ErrnoName(c.Errno())
	}
	return fmt.Sprintf("res %d, more %v", c.Res, c.More)
}

// unixPair is a listening socket and a client connected to it, whose reads and
// writes end after selfTestLimit.
func unixPair() (listener engine.FD, client int, err error) {
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("socket: %w", err)
	}
	client = -1
	defer func() {
		if err != nil {
			_ = unix.Close(l)
			if client >= 0 {
				_ = unix.Close(client)
			}
		}
	}()
	if err = unix.Bind(l, &unix.SockaddrUnix{}); err != nil { // the kernel picks a name
		return 0, 0, fmt.Errorf("bind: %w", err)
	}
	if err = unix.Listen(l, 1); err != nil {
		return 0, 0, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		return 0, 0, fmt.Errorf("getsockname: %w", err)
	}
	if client, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, fmt.Errorf("socket: %w", err)
	}
	limit := unix.NsecToTimeval(int64(selfTestLimit))
	_ = unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	_ = unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	if err = unix.Connect(client, name); err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	return engine.FD(l), client, nil
}
