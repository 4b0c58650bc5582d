package processor_test

import (
	"bytes"
	"io"
	"maps"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// together are n frames in one piece, with the number of each in its first bytes.
func together(n int) []byte {
	var all []byte
	for i := range n {
		all = append(all, frameOf(uint32(i), 20+i%3)...)
	}
	return all
}

// numberOf is the number that together gave a request.
func numberOf(r reqchan.Request) int { return int(r.Payload()[3]) }

// Answers that leave in one piece are counted as if each had left alone.
func TestAnswersThatLeaveTogetherAreCountedOneByOne(t *testing.T) {
	const n = 200
	handle := func(r reqchan.Request) {
		switch i := numberOf(r); {
		case i%50 == 49:
			go echo(r) // what is behind it waits for it
		case i%50 == 30:
			r.Respond(bytes.Repeat([]byte{1}, 6000)) // too large to go with others
		case i%2 == 0:
			r.SetErrorCode(int16(i / 20))
			echo(r)
		default:
			r.Respond([]byte("of the handler"))
		}
	}
	for _, inline := range []bool{true, false} {
		for _, faults := range []faultengine.Config{{}, faultengine.Gentle(3)} {
			s := newStage(t, stageConfig{
				faults: faults, handle: handle, inline: inline, handlers: 2, requests: 64,
				settings: processor.Settings{PipelineMax: 16},
			})
			c := s.dial()
			sent := together(n)
			go func() { _, _ = c.Write(sent) }()
			wantErrors, bytesOut := map[int16]uint64{}, 0
			for i := range n {
				got, err := readFrame(c)
				if err != nil {
					t.Fatalf("inline %t: answer %d: %v", inline, i, err)
				}
				want, code := frameOf(uint32(i), 20+i%3), int16(0)
				switch {
				case i%50 == 49:
				case i%50 == 30:
					want = append([]byte{0, 0, 6000 >> 8, 6000 & 0xff}, bytes.Repeat([]byte{1}, 6000)...)
				case i%2 == 0:
					code = int16(i / 20)
				default:
					want = []byte("\x00\x00\x00\x0eof the handler")
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("inline %t: answer %d is %q, want %q", inline, i, got, want)
				}
				wantErrors[code]++
				bytesOut += len(want)
			}
			_ = c.Close()
			s.stop(deadline)
			stats, all := s.processors[0].Stats(), s.processors[0].Requests()
			if stats.Requests != n || stats.Responses != n || stats.BytesOut != uint64(bytesOut) || stats.BytesIn != uint64(len(sent)) {
				t.Errorf("inline %t: %d requests, %d responses, %d bytes in and %d out, want %d, %d, %d and %d",
					inline, stats.Requests, stats.Responses, stats.BytesIn, stats.BytesOut, n, n, len(sent), bytesOut)
			}
			if len(all) != 1 || all[0].Total.Count != n || all[0].Queue.Count != n || all[0].Send.Count != n || !maps.Equal(all[0].Errors, wantErrors) {
				t.Errorf("inline %t: %+v, want %d requests with the errors %v", inline, all, n, wantErrors)
			}
		}
	}
}

func TestAHandlerThatDoesNotReturnTakesNoAnswerBeforeItWithIt(t *testing.T) {
	const n, last = 20, 7
	for _, way := range []struct {
		name string
		end  func()
		why  reqchan.CloseReason
	}{{"panics", func() { panic("as asked") }, reqchan.HandlerPanicked}, {"exits", runtime.Goexit, reqchan.EngineFailed}} {
		s := newStage(t, stageConfig{inline: true, handle: func(r reqchan.Request) {
			if numberOf(r) == last {
				way.end()
			}
			echo(r)
		}})
		c := s.dial()
		go func() { _, _ = c.Write(together(n)) }()
		got, _ := io.ReadAll(c)
		want := together(last)
		if way.why == reqchan.EngineFailed { // the processor has gone: what was not sent can't be
			want = want[:len(got)]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the client got %d bytes, want the %d of the answers before", way.name, len(got), len(want))
		}
		eventually(t, way.name, func() bool { return s.closedBy(way.why) == 1 })
		eventually(t, way.name+": it is counted", func() bool {
			stats := s.processors[0].Stats()
			return stats.Panics == 1 && stats.Responses == last
		})
		_ = c.Close()
		if way.why == reqchan.EngineFailed {
			s.acceptor.Stop()
			s.channel.Close()
			s.running.Wait()
			s.check()
			continue
		}
		s.stop(deadline)
	}
}

// What an answer brings with it is not lost among those it could leave with.
func TestAThrottleOrAReleaseAmongManyAnswersIsMinded(t *testing.T) {
	const n, throttled, throttle = 20, 7, 30 * time.Millisecond
	for _, inline := range []bool{true, false} {
		var released atomic.Int64
		var came [n]time.Time
		s := newStage(t, stageConfig{
			inline: inline, handlers: 1, requests: 64, settings: processor.Settings{PipelineMax: 1, ThrottleMax: time.Second},
			handle: func(r reqchan.Request) {
				i := numberOf(r)
				came[i] = time.Now()
				switch {
				case i == throttled:
					r.Throttle(throttle)
					echo(r)
				case i%2 == 0:
					if err := r.RespondParts(nil, func() { released.Add(1) }); err != nil {
						t.Error(err)
					}
				default:
					echo(r)
				}
			},
		})
		c := s.dial()
		go func() { _, _ = c.Write(together(n)) }()
		for i := range n {
			if _, err := readFrame(c); err != nil {
				t.Fatalf("inline %t: answer %d: %v", inline, i, err)
			}
		}
		_ = c.Close()
		s.stop(deadline)
		if d := came[throttled+1].Sub(came[throttled]); d < throttle {
			t.Errorf("inline %t: the request behind the throttled one came after %v, not %v", inline, d, throttle)
		}
		if got := released.Load(); got != n/2 {
			t.Errorf("inline %t: %d of %d releases", inline, got, n/2)
		}
	}
}
