package processor_test

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/internal/queue"
	"kring/internal/slab"
	"kring/processor"
	"kring/reqchan"
)

const (
	tightFrom = 40 << 20 // of the 64 MiB of a stage: then the budget of responses is tight
	expected  = 4 << 20
)

// expecting makes the budget tight, with taken bytes taken, and has large responses expected.
func (s *stage) expecting(taken int64) {
	s.responses.Change(0, taken)
	s.responses.Learn(-1, expected)
}

// settled waits until nothing of the budget is taken beyond what was, and what a processor
// may hoard.
func (s *stage) settled(what string, taken int64) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return s.responses.Stats().Used <= taken+processor.HoardedOutputMax })
}

// What is counted of responses that end with a file is given back.
func TestResponsesThatEndWithAFileLeaveNothingInTheBudget(t *testing.T) {
	const n, head = 64, 10_000
	file := fileOf(t, []byte("of the file"))
	for _, inline := range []bool{true, false} {
		s := newStage(t, stageConfig{inline: inline, handlers: 1, handle: func(r reqchan.Request) {
			if err := r.RespondParts([]reqchan.Part{{Bytes: make([]byte, head)}, {File: file, Length: 11}}, nil); err != nil {
				t.Error(err)
			}
		}})
		c := s.dial()
		for range n {
			if got, err := ask(c, "both"); err != nil || len(got) != 4+head+11 || !bytes.HasSuffix(got, []byte("of the file")) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		s.settled("all is given back", 0)
		_ = c.Close()
		s.stop(time.Second)
	}
}

// A response that turns out small is sent without what was expected of it: its peer may
// take it late.
func TestASmallResponseGivesBackAtOnceWhatWasExpectedOfIt(t *testing.T) {
	var handled atomic.Int64
	s := newStage(t, stageConfig{faults: faultengine.Config{SendWindowBytes: 1 << 10}, inline: true, handle: func(r reqchan.Request) {
		handled.Add(1)
		r.Respond(r.Buffer(10_000))
	}})
	s.expecting(tightFrom)
	deaf := s.dial()
	say(t, deaf, "much", false)
	eventually(t, "the handler ran", func() bool { return handled.Load() == 1 })
	s.settled("nothing more than the response is counted", tightFrom)
	if _, err := readFrame(deaf); err != nil {
		t.Error(err)
	}
	s.responses.Change(tightFrom, 0)
	_ = deaf.Close()
	s.stop(time.Second)
}

// Whoever has its turn and can't go on, for want of the channel's bytes or because its peer
// does not read, gives it up: others wait for it. It goes on as soon as it can.
func TestATurnThatCannotBeUsedIsGivenUp(t *testing.T) {
	const all = tightFrom + 7<<20
	for _, why := range []string{"bytes", "peer"} {
		first := make(chan reqchan.Request, 1)
		s := newStage(t, stageConfig{
			faults: faultengine.Config{SendWindowBytes: 1 << 10}, inline: true, bytes: 4 << 20, settings: processor.Settings{PipelineMax: 2},
			handle: func(r reqchan.Request) {
				if string(r.Payload()) == "first" {
					first <- r
					return
				}
				r.Respond(r.Payload())
			},
		})
		c := s.dial()
		say(t, c, "first", false)
		r := <-first
		s.expecting(all)
		say(t, c, "second", false)
		eventually(t, why+": it stands in line", func() bool { return s.responses.Stats().Waiting == 1 })
		var taken int64
		if why == "bytes" {
			taken = s.channel.BytesMax() - s.channel.Bytes()
			if !s.channel.NewSender(queue.NewWakeFlag(func() {})).Reserve(taken) {
				t.Fatal("the channel's bytes can't be had")
			}
		} else {
			r.Respond(r.Buffer(10_000))
			eventually(t, "the response is on its way", func() bool { return s.processors[0].Stats().Sends > 0 })
		}
		s.responses.Change(all, tightFrom)
		eventually(t, why+": its turn came", func() bool { return s.responses.Stats().Waiting == 0 })
		s.settled(why+": it is given up", tightFrom)
		if why == "bytes" {
			s.channel.Release(taken)
			r.Respond(r.Buffer(10_000))
		}
		answers(t, c, "", "second")
		s.responses.Change(tightFrom, 0)
		_ = c.Close()
		s.stop(time.Second)
	}
}

// A request that was answered in a batch keeps nothing when its connection ends with the
// batch.
func TestABatchThatEndsWithItsConnectionLeavesNothingInTheBudget(t *testing.T) {
	var refuse atomic.Bool
	defer slab.RefuseAny(func() error {
		if refuse.Load() {
			return errors.New("refused, as the test says")
		}
		return nil
	})()
	s := newStage(t, stageConfig{inline: true, handle: echo})
	c := s.dial()
	say(t, c, "there is memory for small responses", true)
	s.expecting(tightFrom)
	refuse.Store(true)
	mustWrite(t, c, string(append(frameOf(1, 20), frameOf(2, 12_000)[:3000]...)))
	eventually(t, "it is closed", func() bool { return s.closedBy(reqchan.MemoryRefused) == 1 })
	refuse.Store(false)
	s.settled("what was expected is given back", tightFrom)
	s.responses.Change(tightFrom, 0)
	_ = c.Close()
	s.stop(time.Second)
}

// answers reads responses; of an empty one any content will do.
func answers(t *testing.T, c net.Conn, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, err := readFrame(c); err != nil || !bytes.HasSuffix(got, []byte(w)) {
			t.Fatalf("%d bytes, %v, want %q", len(got), err, w)
		}
	}
}
