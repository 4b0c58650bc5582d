package handler_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/puzpuzpuz/xsync/v4"

	"kring/handler"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/reqchan"
)

// bench is a processor reduced to what the channel asks of it: it publishes a
// batch, sleeps at its bell until the batch is home, and begins again.
type bench struct {
	bell *queue.Doorbell
	wake chan struct{}
	home *reqchan.ResponseQueue
	pool slab.Pool
}

func newBench() *bench {
	b := &bench{wake: make(chan struct{}, 1)}
	b.bell = queue.NewDoorbell(func() {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	})
	b.home = reqchan.NewResponseQueue(b.bell)
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
		b.bell.Arm()
		if !b.home.Waiting() {
			<-b.wake
		}
		b.bell.Disarm()
	}
}

func newRequests(n int) []*reqchan.Request {
	reqs := make([]*reqchan.Request, n)
	for i := range reqs {
		reqs[i] = new(reqchan.Request)
	}
	return reqs
}

// BenchmarkChannel is the whole tax of a request, out and home: readied,
// published, taken, answered, brought home, taken. One operation is one request.
func BenchmarkChannel(b *testing.B) {
	for _, handlers := range []int{1, 2, 8} {
		for _, batch := range []int{1, 16, 64, 1024} {
			b.Run(fmt.Sprintf("handlers=%d/batch=%d", handlers, batch), func(b *testing.B) {
				ch := reqchan.New(reqchan.Config{RequestsMax: 1024})
				p := handler.NewPool(handler.Config{Handlers: handlers,
					Handle: func(r *reqchan.Request) { r.NoResponse() }}, ch)
				p.Start()
				x := newBench()
				s := ch.NewSender(x.bell)
				reqs := newRequests(batch)
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for _, r := range reqs {
						r.Begin(x.home, &x.pool)
					}
					if n := s.TrySend(reqs); n != len(reqs) {
						b.Fatalf("accepted %d of %d", n, len(reqs))
					}
					x.await(batch)
				}
				b.StopTimer()
				ch.Close()
				p.Close()
			})
		}
	}
}

// BenchmarkGoChannel is the same with a Go channel out and one home.
func BenchmarkGoChannel(b *testing.B) {
	for _, handlers := range []int{1, 2, 8} {
		for _, batch := range []int{1, 16, 64, 1024} {
			b.Run(fmt.Sprintf("handlers=%d/batch=%d", handlers, batch), func(b *testing.B) {
				out, home := make(chan *reqchan.Request, 1024), make(chan *reqchan.Request, 1024)
				var wg sync.WaitGroup
				for range handlers {
					wg.Go(func() {
						for r := range out {
							home <- r
						}
					})
				}
				reqs := newRequests(batch)
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for _, r := range reqs {
						out <- r
					}
					for range reqs {
						<-home
					}
				}
				b.StopTimer()
				close(out)
				wg.Wait()
			})
		}
	}
}

// BenchmarkXsync is the same with the bounded queue of xsync, which has no way
// to sleep: handlers are woken by a token in a Go channel, once per batch.
func BenchmarkXsync(b *testing.B) {
	for _, handlers := range []int{1, 2, 8} {
		for _, batch := range []int{1, 16, 64, 1024} {
			b.Run(fmt.Sprintf("handlers=%d/batch=%d", handlers, batch), func(b *testing.B) {
				out, home := xsync.NewMPMCQueue[*reqchan.Request](1024), xsync.NewMPMCQueue[*reqchan.Request](1024)
				wake, woken := make(chan struct{}, 1), make(chan struct{}, 1)
				var wg sync.WaitGroup
				for range handlers {
					wg.Go(func() {
						for range wake {
							for r, ok := out.TryDequeue(); ok; r, ok = out.TryDequeue() {
								home.TryEnqueue(r)
							}
							token(woken)
						}
					})
				}
				reqs := newRequests(batch)
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for _, r := range reqs {
						out.TryEnqueue(r)
					}
					token(wake)
					for n := batch; n > 0; {
						for _, ok := home.TryDequeue(); ok; _, ok = home.TryDequeue() {
							n--
						}
						if n > 0 {
							<-woken
						}
					}
				}
				b.StopTimer()
				close(wake)
				wg.Wait()
			})
		}
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
