package handler_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/puzpuzpuz/xsync/v4"

	"kring/handler"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

// bench is a processor reduced to what the channel asks of it: it publishes a
// batch, sleeps at its wake flag until the batch is home, and begins again.
type bench struct {
	wakeFlag *queue.WakeFlag
	wake     chan struct{}
	home     *reqchan.ResponseQueue
	pool     slab.Pool
}

func newBench() *bench {
	b := &bench{wake: make(chan struct{}, 1)}
	b.wakeFlag = queue.NewWakeFlag(func() {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	})
	b.home = reqchan.NewResponseQueue(b.wakeFlag)
	return b
}

// await hands every answer to f until n are home.
func (b *bench) await(n int) {
	for n > 0 {
		for r := b.home.Take(); r != nil; {
			next := r.Next()
			n--
			r = next
		}
		if n == 0 {
			return
		}
		b.wakeFlag.BeforeSleep()
		if !b.home.Waiting() {
			<-b.wake
		}
		b.wakeFlag.AfterSleep()
	}
}

func newRequests(producer, n int) []*reqchan.Job {
	reqs := make([]*reqchan.Job, n)
	for i := range reqs {
		reqs[i] = reqchan.NewJob(nil, nil)
		reqs[i].Token = uint64(producer)
	}
	return reqs
}

// inChannelMax is room for every producer's batch.
const inChannelMax = 64 * 64

// eachCrowd runs a benchmark with 1 to 64 producers and handlers, which hand over
// one request at a time and 64. start readies a producer and returns what it
// does again and again: send a batch and await its answers. One operation is
// one request.
func eachCrowd(b *testing.B, open func(handlers, producers int) (start func(producer, batch int) (round func()), end func())) {
	for _, producers := range []int{1, 8, 64} {
		for _, handlers := range []int{1, 8, 64} {
			for _, batch := range []int{1, 64} {
				b.Run(fmt.Sprintf("producers=%d/handlers=%d/batch=%d", producers, handlers, batch), func(b *testing.B) {
					start, end := open(handlers, producers)
					var all sync.WaitGroup
					var left atomic.Int64
					left.Store(int64(b.N))
					rounds := make([]func(), producers)
					for k := range rounds {
						rounds[k] = start(k, batch)
					}
					b.ReportAllocs()
					b.ResetTimer()
					for _, round := range rounds {
						all.Go(func() {
							for left.Add(int64(-batch)) > int64(-batch) {
								round()
							}
						})
					}
					all.Wait()
					b.StopTimer()
					end()
				})
			}
		}
	}
}

// BenchmarkChannel is the whole tax of a request, out and home: readied,
// published, taken, answered, brought home, taken.
func BenchmarkChannel(b *testing.B) {
	eachCrowd(b, func(handlers, _ int) (func(int, int) func(), func()) {
		ch := reqchan.New(reqchan.Config{RequestsMax: inChannelMax})
		p := handler.NewPool(handler.Config{Handlers: handlers,
			Handle: func(r reqchan.Request) { r.NoResponse() }}, ch)
		p.Start()
		start := func(producer, batch int) func() {
			x := newBench()
			s := ch.NewSender(x.wakeFlag)
			reqs := newRequests(producer, batch)
			return func() {
				for _, r := range reqs {
					r.Begin(x.home, &x.pool)
				}
				for sent := 0; sent < len(reqs); { // a turn is a part of the channel
					n, _ := s.TrySend(reqs[sent:])
					sent += n
					x.await(n)
				}
			}
		}
		return start, func() {
			ch.Close()
			p.Close()
		}
	})
}

// BenchmarkGoChannel is the same with a Go channel out and one home for each
// producer.
func BenchmarkGoChannel(b *testing.B) {
	eachCrowd(b, func(handlers, producers int) (func(int, int) func(), func()) {
		out, home := make(chan *reqchan.Job, inChannelMax), make([]chan *reqchan.Job, producers)
		for k := range home {
			home[k] = make(chan *reqchan.Job, 64)
		}
		var wg sync.WaitGroup
		for range handlers {
			wg.Go(func() {
				for r := range out {
					home[r.Token] <- r
				}
			})
		}
		start := func(producer, batch int) func() {
			reqs := newRequests(producer, batch)
			return func() {
				for _, r := range reqs {
					out <- r
				}
				for range reqs {
					<-home[producer]
				}
			}
		}
		return start, func() {
			close(out)
			wg.Wait()
		}
	})
}

// BenchmarkXsync is the same with the bounded queue of xsync, which has no way
// to sleep: handlers are woken by a token in a Go channel, once per batch, and
// producers by one of their own.
func BenchmarkXsync(b *testing.B) {
	eachCrowd(b, func(handlers, producers int) (func(int, int) func(), func()) {
		out, wake := xsync.NewMPMCQueue[*reqchan.Job](inChannelMax), make(chan struct{}, handlers)
		home, woken := make([]*xsync.MPMCQueue[*reqchan.Job], producers), make([]chan struct{}, producers)
		for k := range home {
			home[k], woken[k] = xsync.NewMPMCQueue[*reqchan.Job](64), make(chan struct{}, 1)
		}
		var wg sync.WaitGroup
		for range handlers {
			wg.Go(func() {
				for range wake {
					for r, ok := out.TryDequeue(); ok; r, ok = out.TryDequeue() {
						producer := r.Token
						home[producer].TryEnqueue(r)
						token(woken[producer])
					}
				}
			})
		}
		start := func(producer, batch int) func() {
			reqs := newRequests(producer, batch)
			return func() {
				for _, r := range reqs {
					out.TryEnqueue(r)
				}
				token(wake)
				for n := batch; n > 0; {
					for _, ok := home[producer].TryDequeue(); ok; _, ok = home[producer].TryDequeue() {
						n--
					}
					if n > 0 {
						<-woken[producer]
					}
				}
			}
		}
		return start, func() {
			close(wake)
			wg.Wait()
		}
	})
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
