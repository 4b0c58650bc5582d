//go:build linux

package uring

import (
	"errors"
	"testing"
	"time"

	"kring/engine"
)

// What an engine that has died did not take into its queue is not waited for when
// it is closed: nothing of it ever ends.
func TestADeadEngineIsClosedWithoutAWait(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		fd, peer := r.pair()
		other, second := r.pair()
		_ = r.engine.die(errors.New("as the test says"))
		for q := r.engine.ring.GetSQE(); q != nil; q = r.engine.ring.GetSQE() {
			q.PrepNop()
			q.Flags = SQECQESkipSuccess
			r.engine.issued++
		}
		r.engine.Recv(fd, token)
		r.engine.Send(other, engine.MakeToken(9, 1), [][]byte{r.copyOf([]byte("x"))})
		began := time.Now()
		if err := r.engine.Close(); errors.Is(err, engine.ErrMemoryHeld) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		r.network.Discard(fd)
		r.network.Discard(other)
		_ = peer.Close()
		_ = second.Close()
	})
}
