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

// steadily has a peer do something in n paced steps, and then end it. The peer may not be closed
// for that; of reach steps in a row the server sees at least one. A try that fails counts if the
// machine let the peer go on at its pace: no reach steps took longer than half of what the server
// has patience for, and all of them at most twice their time.
func steadily(t *testing.T, n, reach int, every time.Duration, begin func(t *testing.T) (step func(i int) error, end func() error)) {
	t.Helper()
	const tries = 20
	for range tries {
		step, end := begin(t)
		at := []time.Time{time.Now()}
		err := paced(n, every, func(i int) error {
			err := step(i)
			at = append(at, time.Now())
			return err
		})
		if err == nil {
			err = end()
			at = append(at, time.Now())
		}
		if err == nil {
			return
		}
		longest, all := time.Duration(0), at[len(at)-1].Sub(at[0])
		for i := range at {
			longest = max(longest, at[i].Sub(at[max(i-reach, 0)]))
		}
		if longest < patient/2 && all < 2*time.Duration(n)*every {
			t.Fatalf("%v; %d steps took %v at most, all %v", err, reach, longest, all)
		}
		t.Logf("tried again, because %d of its steps took up to %v, and all of them %v: %v", reach, longest, all, err)
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
		steadily(t, steps, 1, patient/10, uploads(s, 512<<10, steps))
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
