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
		c := servertest.Dial(t, s)
		payload := make([]byte, 512<<10)
		frame := servertest.Frame(payload)
		piece := (len(frame) + steps - 1) / steps
		err := paced(steps, patient/10, func(i int) error {
			_, err := c.Write(frame[i*piece : min((i+1)*piece, len(frame))])
			return err
		})
		if err != nil {
			t.Fatalf("%v%s", err, whyClosed(s))
		}
		if got := c.Receive(); got != string(payload) {
			t.Fatalf("answer of %d bytes, want %d", len(got), len(payload))
		}
	})
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
