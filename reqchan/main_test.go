package reqchan

import (
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/leaktest"
	"kring/internal/queue"
	"kring/internal/slab"
)

const deadline = time.Minute

func TestMain(m *testing.M) { leaktest.Main(m) }

// owner is a processor reduced to its wake flag: asleep, only the wake flag wakes it.
type owner struct {
	wakeFlag *queue.WakeFlag
	woken    chan struct{}
	calls    atomic.Int64
	home     *ResponseQueue
	pool     slab.Pool
}

func newOwner() *owner {
	o := &owner{woken: make(chan struct{}, 1)}
	o.wakeFlag = queue.NewWakeFlag(func() {
		o.calls.Add(1)
		select {
		case o.woken <- struct{}{}:
		default:
		}
	})
	o.home = NewResponseQueue(o.wakeFlag)
	return o
}

// sleep is where a lost call would show.
func (o *owner) sleep(t *testing.T, what string) bool {
	o.wakeFlag.BeforeSleep()
	defer o.wakeFlag.AfterSleep()
	if o.home.Waiting() {
		return true
	}
	select {
	case <-o.woken:
		return true
	case <-time.After(deadline):
		t.Errorf("%s was never called", what)
		return false
	}
}

// called says whether the owner was called since it was asked last.
func (o *owner) called() bool {
	select {
	case <-o.woken:
		return true
	default:
		return false
	}
}

// begun returns n requests of o that are ready to be sent.
func (o *owner) begun(n int) []*Job {
	reqs := make([]*Job, n)
	for i := range reqs {
		reqs[i] = NewJob(nil, nil)
		reqs[i].Seq = uint64(i)
		reqs[i].Begin(o.home, &o.pool)
	}
	return reqs
}
