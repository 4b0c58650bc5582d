package metrics

import (
	"encoding/binary"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/sys/unix"

	"kring/internal/pace"
)

// BenchmarkBesideAScrape measures how late somebody is who waits on Go's poller, as a parked
// processor does, on one CPU: alone, beside scrapes that compute in one go, and beside those that
// give way. A timer of the kernel wakes it every millisecond.
func BenchmarkBesideAScrape(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, name := range []string{"alone", "in one go", "giving way"} {
		b.Run(name, func(b *testing.B) {
			c, err := New(fixed{}, Options{APIs: manyAPIs()})
			if err != nil {
				b.Fatal(err)
			}
			var turns pace.Pace
			if name == "in one go" {
				turns.Sleep = func(time.Duration) {}
				c.pace = func() *pace.Pace { return &turns }
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(c)
			end, ended := make(chan struct{}), make(chan struct{})
			scrapes, between := 0, time.NewTicker(20*time.Millisecond)
			defer between.Stop()
			go func() {
				defer close(ended)
				for name != "alone" {
					select {
					case <-end:
						return
					default:
					}
					all, err := registry.Gather()
					if err != nil {
						b.Error(err)
						return
					}
					to := expfmt.NewEncoder(io.Discard, expfmt.NewFormat(expfmt.TypeTextPlain))
					for _, f := range all {
						_ = to.Encode(f)
						turns.Step()
					}
					scrapes++
					<-between.C
				}
			}()
			late := lateness(b, b.N)
			close(end)
			<-ended
			slices.Sort(late)
			at := func(q float64) float64 { return float64(late[int(q*float64(len(late)-1))]) / 1e3 }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(0.999), "p99.9-µs")
			b.ReportMetric(float64(scrapes)/float64(b.N)*1e3, "scrapes/s")
		})
	}
}

// lateness is by how much each of n ticks came late, in nanoseconds.
func lateness(b *testing.B, n int) (late []int64) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	timer := os.NewFile(uintptr(fd), "timer")
	defer timer.Close()
	now := func() int64 {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
		return t.Nano()
	}
	const every = int64(time.Millisecond)
	next := now() + every
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Value: unix.NsecToTimespec(next), Interval: unix.NsecToTimespec(every)}, nil); err != nil {
		b.Fatal(err)
	}
	var count [8]byte
	for len(late) < n {
		if _, err := io.ReadFull(timer, count[:]); err != nil {
			b.Fatal(err)
		}
		ticks := int64(binary.NativeEndian.Uint64(count[:]))
		for at := now(); ticks > 0; ticks-- { // each of those that were missed was late
			late = append(late, at-next)
			next += every
		}
	}
	return late
}
