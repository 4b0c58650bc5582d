package contract

import (
	"fmt"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// patient is how long the peers of these tests may say or take nothing. What they do
// takes twice as long and more, in steps that are small enough for a machine that
// keeps them from running for most of that time.
const patient = time.Second

// paced calls step n times, each after a while.
func paced(n int, every time.Duration, step func(i int) error) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for i := range n {
		<-t.C
		if err := step(i); err != nil {
			return err
		}
	}
	return nil
}

// steadily has a peer do something in paced steps that may not be closed for it. A try that
// fails counts if the machine let the peer go on at its pace: no step came later after the
// one before than half of what the server has patience for.
func steadily(t *testing.T, n int, every time.Duration, begin func(t *testing.T) (step func(i int) error, end func() error)) {
	t.Helper()
	const tries = 20
	for range tries {
		step, end := begin(t)
		last, longest := time.Now(), time.Duration(0)
		err := paced(n, every, func(i int) error {
			err := step(i)
			longest, last = max(longest, time.Since(last)), time.Now()
			return err
		})
		if err == nil {
			err = end()
		}
		if err == nil {
			return
		}
		if longest < patient/2 {
			t.Fatal(err)
		}
		t.Logf("tried again, because its steps were up to %v apart: %v", longest, err)
	}
	t.Fatalf("no try of %d went well", tries)
}

func whyClosed(s *kring.Server) string {
	st := s.Stats()
	return fmt.Sprint("; closed: ", st.ClosedBy())
}

// A frame that is received straight into its memory completes when it is whole.
func TestAnUploadWhoseBytesFlowIsNotIdle(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const steps = 20
		cfg.Timeouts.Idle = patient
		s := servertest.Start(t, cfg, servertest.Echo)
		steadily(t, steps, patient/10, uploads(s, 512<<10, steps))
	})
}

// uploads sends a frame of n bytes in so many steps, and wants it back.
func uploads(s *kring.Server, n, steps int) func(t *testing.T) (step func(i int) error, end func() error) {
	payload := make([]byte, n)
	frame := servertest.Frame(payload)
	piece := (len(frame) + steps - 1) / steps
	return func(t *testing.T) (step func(i int) error, end func() error) {
		c := servertest.Dial(t, s)
		step = func(i int) error {
			if _, err := c.Write(frame[i*piece : min((i+1)*piece, len(frame))]); err != nil {
				return fmt.Errorf("%w%s", err, whyClosed(s))
			}
			return nil
		}
		return step, func() error {
			if got, err := servertest.ReadFrame(c); err != nil || string(got) != string(payload) {
				return fmt.Errorf("answer of %d bytes, want %d: %w%s", len(got), len(payload), err, whyClosed(s))
			}
			return nil
		}
	}
}

// A frame that was begun and goes no further is idle like any other connection.
func TestAnUploadThatStandsStillIsIdle(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Idle = 50 * time.Millisecond
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		_, _ = c.Write(servertest.Frame(make([]byte, 512<<10))[:300<<10]) // fails if it takes too long
		c.AwaitClose()
		servertest.Eventually(t, "it expired", func() bool { return closedBy(s, reqchan.IdleExpired) == 1 })
	})
}
