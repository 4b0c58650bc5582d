//go:build linux

package uring

import (
	"reflect"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestRing(t testing.TB, entries, cqEntries uint32) *Ring {
	t.Helper()
	p := Params{Flags: SetupCQSize | SetupClamp | SetupSubmitAll | SetupCoopTaskrun | SetupTaskrunFlag, CQEntries: cqEntries}
	r, err := NewRing(entries, &p)
	if err != nil {
		t.Fatal(setupError(err))
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// reapAll waits until n CQEs are there and returns them.
func reapAll(t testing.TB, r *Ring, n int) []CQE {
	t.Helper()
	all := make([]CQE, 0, n)
	batch := make([]CQE, max(n, 1))
	for deadline := time.Now().Add(patience); len(all) < n; {
		all = append(all, batch[:r.Reap(batch[:n-len(all)])]...)
		if len(all) == n {
			break
		}
		if err := r.SubmitAndWait(100 * time.Millisecond); err != nil && err != unix.ETIME && err != unix.EINTR {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d CQEs after 10 s", len(all), n)
		}
	}
	return all
}

func get(t testing.TB, r *Ring) *SQE {
	t.Helper()
	q := r.GetSQE()
	if q == nil {
		t.Fatal("the SQ is full")
	}
	return q
}

// everyPrep fills an SQE in every way there is.
var everyPrep = map[string]func(*SQE){
	"nop":              (*SQE).PrepNop,
	"read":             func(q *SQE) { q.PrepRead(3, 0x1000, 4, 5) },
	"write":            func(q *SQE) { q.PrepWrite(3, 0x1000, 4, 5) },
	"read_fixed":       func(q *SQE) { q.PrepReadFixed(3, 0x1000, 4, 5, 6) },
	"write_fixed":      func(q *SQE) { q.PrepWriteFixed(3, 0x1000, 4, 5, 6) },
	"readv":            func(q *SQE) { q.PrepReadv(3, 0x1000, 4, 5) },
	"writev":           func(q *SQE) { q.PrepWritev(3, 0x1000, 4, 5) },
	"fsync":            func(q *SQE) { q.PrepFsync(3, FsyncDatasync) },
	"poll_add":         func(q *SQE) { q.PrepPollAdd(3, unix.POLLIN) },
	"poll_multishot":   func(q *SQE) { q.PrepPollMultishot(3, unix.POLLIN) },
	"poll_remove":      func(q *SQE) { q.PrepPollRemove(7) },
	"writev_fixed":     func(q *SQE) { q.PrepWritevFixed(3, 0x1000, 4, 5, 6) },
	"files_update":     func(q *SQE) { q.PrepFilesUpdate(0x1000, 4, 5) },
	"accept":           func(q *SQE) { q.PrepAccept(3, unix.SOCK_CLOEXEC) },
	"accept_multishot": func(q *SQE) { q.PrepAcceptMultishot(3, unix.SOCK_CLOEXEC) },
	"connect":          func(q *SQE) { q.PrepConnect(3, 0x1000, 16) },
	"socket":           func(q *SQE) { q.PrepSocket(2, 1, 6, 0) },
	"recv":             func(q *SQE) { q.PrepRecv(3, 0x1000, 4, unix.MSG_WAITALL) },
	"recv_multishot":   func(q *SQE) { q.PrepRecvMultishot(3, 0, 0, 0) },
	"recvmsg":          func(q *SQE) { q.PrepRecvMsg(3, 0x1000, 8) },
	"send":             func(q *SQE) { q.PrepSend(3, 0x1000, 4, unix.MSG_NOSIGNAL) },
	"sendmsg":          func(q *SQE) { q.PrepSendMsg(3, 0x1000, unix.MSG_NOSIGNAL) },
	"send_zc":          func(q *SQE) { q.PrepSendZC(3, 0x1000, 4, unix.MSG_NOSIGNAL, SendZCReportUsage) },
	"send_zc_fixed":    func(q *SQE) { q.PrepSendZCFixed(3, 0x1000, 4, unix.MSG_NOSIGNAL, 0, 6) },
	"sendmsg_zc":       func(q *SQE) { q.PrepSendMsgZC(3, 0x1000, unix.MSG_NOSIGNAL) },
	"cancel":           func(q *SQE) { q.PrepCancel(7, CancelAll) },
	"cancel_fd":        func(q *SQE) { q.PrepCancelFD(3, CancelAll) },
	"close":            func(q *SQE) { q.PrepClose(3) },
	"shutdown":         func(q *SQE) { q.PrepShutdown(3, unix.SHUT_RDWR) },
	"timeout":          func(q *SQE) { q.PrepTimeout(0x1000, 1, 0) },
	"timeout_remove":   func(q *SQE) { q.PrepTimeoutRemove(7, 0) },
	"timeout_update":   func(q *SQE) { q.PrepTimeoutUpdate(0x1000, 7, 0) },
	"link_timeout":     func(q *SQE) { q.PrepLinkTimeout(0x1000, 0) },
	"msg_ring":         func(q *SQE) { q.PrepMsgRing(3, 4, 5, 0) },
}

// dirty is an SQE with every bit set.
func dirty() SQE {
	return SQE{Opcode: 0xff, Flags: 0xff, IOPrio: 0xffff, FD: -1, Off: ^uint64(0), Addr: ^uint64(0), Len: ^uint32(0),
		OpFlags: ^uint32(0), UserData: ^uint64(0), BufGroup: 0xffff, Personality: 0xffff, FileIndex: ^uint32(0),
		Addr3: ^uint64(0), Pad: ^uint64(0)}
}

func TestEveryPrepFillsAllOfTheSQE(t *testing.T) {
	for name, prep := range everyPrep {
		clean, used := SQE{}, dirty()
		prep(&clean)
		prep(&used)
		if clean != used {
			t.Errorf("%s keeps something of the former SQE:\n%+v\n%+v", name, used, clean)
		}
	}
	if prepared := reflect.TypeOf(&SQE{}).NumMethod(); prepared != len(everyPrep) {
		t.Errorf("SQE has %d Prep methods, the test knows %d", prepared, len(everyPrep))
	}
}

func TestSQEsAreZeroAfterEveryOpcode(t *testing.T) {
	r := newTestRing(t, 4, 64)
	for name, prep := range everyPrep {
		for range 4 { // every place of the queue
			q := get(t, r)
			prep(q)
			q.PrepNop() // must not leave anything for the kernel to refuse
			if err := r.SubmitAndGetEvents(false); err != nil {
				t.Fatal(err)
			}
			if c := reapAll(t, r, 1)[0]; c.Res != 0 {
				t.Fatalf("nop after %s: %v", name, unix.Errno(-c.Res))
			}
			*q = dirty()
		}
		for range 4 {
			if q := get(t, r); *q != (SQE{}) {
				t.Fatalf("after %s GetSQE returned %+v", name, *q)
			} else {
				q.PrepNop()
			}
		}
		reapAll(t, r, 4)
	}
}

func TestAFullSQSaysSoAndGoesOnAfterSubmit(t *testing.T) {
	r := newTestRing(t, 8, 64)
	for round := range uint64(3) {
		for i := range uint64(8) {
			q := get(t, r)
			q.PrepNop()
			q.UserData = round*8 + i
		}
		if r.GetSQE() != nil {
			t.Fatal("a full SQ gave an SQE")
		}
		if n := r.SQPending(); n != 8 {
			t.Fatalf("%d SQEs pending, wanted 8", n)
		}
		if err := r.SubmitAndGetEvents(true); err != nil {
			t.Fatal(err)
		}
		for i, c := range reapAll(t, r, 8) {
			if c.UserData != round*8+uint64(i) {
				t.Fatalf("CQE %d carries %d", i, c.UserData)
			}
		}
	}
}

func TestAnOverflowingCQLosesNothing(t *testing.T) {
	r := newTestRing(t, 8, 8)
	const n = 100
	overflowed := false
	for i := range uint64(n) {
		q := r.GetSQE()
		for q == nil {
			if err := r.SubmitAndGetEvents(false); err != nil && err != unix.EBUSY {
				t.Fatal(err)
			}
			overflowed = overflowed || r.Overflowed()
			q = r.GetSQE()
		}
		q.PrepNop()
		q.UserData = i
	}
	if !overflowed {
		t.Error("a CQ of 8 took 100 CQEs without overflowing")
	}
	for i, c := range reapAll(t, r, n) {
		if c.UserData != uint64(i) {
			t.Fatalf("CQE %d carries %d", i, c.UserData)
		}
	}
	if r.Overflowed() || r.CQReady() != 0 {
		t.Error("the CQ is not empty")
	}
}

func TestAWaitEndsAtItsLimit(t *testing.T) {
	r := newTestRing(t, 8, 8)
	start := time.Now()
	err := r.SubmitAndWait(20 * time.Millisecond)
	for err == unix.EINTR { // a signal of the Go scheduler
		start = time.Now()
		err = r.SubmitAndWait(20 * time.Millisecond)
	}
	if err != unix.ETIME {
		t.Fatalf("SubmitAndWait: %v, wanted ETIME", err)
	}
	if took := time.Since(start); took < 20*time.Millisecond || took > patience {
		t.Errorf("a wait of 20 ms took %v", took)
	}
	q := get(t, r)
	q.PrepNop()
	if err := r.SubmitAndWait(time.Minute); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	reapAll(t, r, 1)
}

func TestTheQueuesWrapAround(t *testing.T) {
	r := newTestRing(t, 2, 4)
	for i := range uint64(1000) {
		q := get(t, r)
		q.PrepNop()
		q.UserData = i
		if c := reapAll(t, r, 1)[0]; c.UserData != i {
			t.Fatalf("CQE %d carries %d", i, c.UserData)
		}
	}
}

func TestMsgRingReachesAnotherRing(t *testing.T) {
	from, to := newTestRing(t, 4, 8), newTestRing(t, 4, 8)
	q := get(t, from)
	q.PrepMsgRing(int32(to.FD()), 11, 22, 0)
	if c := reapAll(t, from, 1)[0]; c.Res < 0 {
		t.Fatal(unix.Errno(-c.Res))
	}
	if c := reapAll(t, to, 1)[0]; c.Res != 11 || c.UserData != 22 {
		t.Errorf("the other ring got %+v", c)
	}
}

func TestRegisterKnowsItsOperations(t *testing.T) {
	runtime.LockOSThread() // the kernel keeps limits of threads by the thread that set them
	defer runtime.UnlockOSThread()
	r := newTestRing(t, 4, 8)
	known, err := r.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if !known.Has(OpcodeRecv) || known.Has(255) {
		t.Errorf("Probe: %x", known)
	}
	if _, err := r.RegisterIOWQMaxWorkers(3, 5); err != nil {
		t.Fatal(err)
	}
	if limits, err := r.RegisterIOWQMaxWorkers(0, 0); err != nil || limits != [2]uint32{3, 5} {
		t.Errorf("io-wq limits are %v (%v), wanted 3 and 5", limits, err)
	}
	if err := r.RegisterSyncCancel(99, -1, 0, time.Second); err != unix.ENOENT {
		t.Errorf("sync cancel of nothing: %v", err)
	}
}

func TestADisabledRingStartsWhenEnabled(t *testing.T) {
	p := Params{Flags: SetupRDisabled | SetupSingleIssuer | SetupClamp}
	r, err := NewRing(4, &p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	get(t, r).PrepNop()
	if err := r.SubmitAndGetEvents(false); err != unix.EBADFD {
		t.Fatalf("submit to a disabled ring: %v, wanted EBADFD", err)
	}
	done := make(chan error)
	go func() { done <- r.EnableRings() }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
