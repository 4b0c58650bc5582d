//go:build linux

package uring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"kring/internal/slab"
)

// Features asks this kernel for everything in the feature table, by doing: a
// ring is set up with the flag, the registration is made, a small operation is
// run. It asks anew each time, takes a few milliseconds, and leaves nothing
// behind.
func Features() []Feature {
	result := make(chan []Feature)
	go func() {
		runtime.LockOSThread() // a single-issuer ring is asked by the thread that made it
		defer runtime.UnlockOSThread()
		result <- ask(featureTable())
	}()
	return <-result
}

// row is a feature and how to ask for it: nil means yes, an *absence no, any
// other error that nothing could be learned.
type row struct {
	Feature
	try func(*prober) error
}

// ask fills in the answers.
func ask(rows []row) []Feature {
	p, err := newProber()
	features := make([]Feature, len(rows))
	for i, r := range rows {
		features[i] = r.Feature
		if err == nil {
			features[i].Answer, features[i].Detail = judge(r.try(p))
		} else {
			features[i].Detail = err.Error()
		}
	}
	if err == nil {
		p.close()
	}
	return features
}

func judge(err error) (Answer, string) {
	var none *absence
	switch {
	case err == nil:
		return Yes, ""
	case errors.As(err, &none):
		return No, err.Error()
	}
	return Inconclusive, err.Error()
}

// absence is the kernel's word that it has no such thing.
type absence struct{ says string }

func (a *absence) Error() string { return a.says }

// refusal turns what a call said into an answer: EINVAL and EOPNOTSUPP are how
// kernels say that they don't know something.
func refusal(call string, err error, absent ...unix.Errno) error {
	var errno unix.Errno
	if err == nil {
		return nil
	}
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", call, err)
	}
	says := fmt.Sprintf("%s: %s (%s)", call, unix.ErrnoName(errno), errno.Error())
	for _, e := range append(absent, unix.EINVAL, unix.EOPNOTSUPP) {
		if errno == e {
			return &absence{says}
		}
	}
	return errors.New(says)
}

// operationLimit bounds the wait for an operation that should end at once. On a machine
// with much else to do that may take a second.
const operationLimit = 10 * time.Second

// What the prober's rings and buffers are like.
const (
	bufRingProbeGroup   = 7
	probeRingEntries    = 8
	probeBufferBytes    = 64
	probeBufRingEntries = 8
)

// prober asks. Operations point only at its mapped pages.
type prober struct {
	data, note []byte
	setup      error // of a ring without flags
	params     Params
	known      Opcodes
	opcodes    error // why known is empty
}

func newProber() (*prober, error) {
	size := os.Getpagesize()
	data, err := slab.Map(size)
	if err != nil {
		return nil, mapError("probe's data", size, err)
	}
	note, err := slab.Map(size)
	if err != nil {
		_ = slab.Unmap(data)
		return nil, mapError("probe's arguments", size, err)
	}
	p := &prober{data: data, note: note}
	p.setup = p.on(Params{}, func(r *Ring) (err error) {
		p.params = r.Params()
		p.known, err = r.Probe()
		p.opcodes = refusal("io_uring_register PROBE", err)
		return nil
	})
	return p, nil
}

// close gives the pages back: every operation that points at them has ended.
func (p *prober) close() {
	_ = slab.Unmap(p.data)
	_ = slab.Unmap(p.note)
}

// on runs use with a ring as asked for.
func (p *prober) on(asked Params, use func(r *Ring) error) error {
	r, err := NewRing(probeRingEntries, &asked)
	if err != nil {
		return refusal("io_uring_setup", err)
	}
	defer r.Close()
	return use(r)
}

// single runs an operation that completes once, and gives that completion.
func single(r *Ring, prep func(*SQE)) (CQE, error) {
	prep(r.GetSQE())
	return next(r)
}

// next submits and waits for a completion.
func next(r *Ring) (CQE, error) {
	var c [1]CQE
	for deadline := time.Now().Add(operationLimit); r.Reap(c[:]) == 0; {
		left := time.Until(deadline)
		if left <= 0 {
			return CQE{}, fmt.Errorf("no completion within %v", operationLimit)
		}
		if err := r.SubmitAndWait(left); err != nil && err != unix.ETIME && err != unix.EINTR {
			return CQE{}, refusal("io_uring_enter", err)
		}
	}
	return c[0], nil
}

// verdict of a completion that should have res ≥ 0.
func verdict(what string, c CQE, err error, absent ...unix.Errno) error {
	if err == nil && c.Res < 0 {
		return refusal(what, unix.Errno(-c.Res), absent...)
	}
	return err
}

// pair runs use with two connected sockets.
func pair(use func(ours, peer int) error) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return refusal("socketpair", err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	return use(fds[0], fds[1])
}

// withBuffers runs use with buffers for selection registered on r. They are
// the prober's data page, and free of the kernel when use returns.
func (p *prober) withBuffers(r *Ring, flags uint16, use func() error) error {
	b, err := MapBufRing(probeBufRingEntries)
	if err != nil {
		return err
	}
	defer b.Unmap()
	if err := r.registerBufRing(b, bufRingProbeGroup, flags); err != nil {
		return refusal("io_uring_register PBUF_RING", err)
	}
	defer func() { _ = r.UnregisterBufRing(bufRingProbeGroup) }()
	for i := range probeBufRingEntries {
		b.Add(p.data[i*probeBufferBytes:(i+1)*probeBufferBytes], uint16(i))
	}
	b.Publish()
	return use()
}
