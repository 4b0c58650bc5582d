package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"kring/reqchan"
	"kring/sasl"
)

// TestADrainLooksAtNobodyWhoWaits: each would take its time. Who is looked at gets an answer.
func TestADrainLooksAtNobodyWhoWaits(t *testing.T) {
	m := lookedAt{&toy{name: "TOY"}, make(chan struct{}), make(chan struct{})}
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{m}, RunningMax: 1})
	var all []*client
	for range 4 {
		c := g.from("10.0.0.1")
		if c.start([]byte("user alice")) {
			t.Fatal("answered on the handler's goroutine")
		}
		all = append(all, c)
	}
	<-m.asked
	g.sasl.Drain()
	close(m.gate)
	for i, c := range all {
		c.await()
		kind, _, why := c.request.Answer()
		if i == 0 {
			if kind != reqchan.AnswerSend || !c.conn.Authenticated() {
				t.Errorf("who was looked at: %v, %v", kind, why)
			}
		} else if kind != reqchan.AnswerClose || why != reqchan.ServerDraining {
			t.Errorf("client %d, who waited: %v, %v", i, kind, why)
		}
	}
}

// lookedAt is a toy that says when it looks at its first token, and waits then.
type lookedAt struct {
	*toy
	asked, gate chan struct{}
}

func (m lookedAt) Begin() sasl.Exchange { return lookingAt{m.toy.Begin(), m} }

type lookingAt struct {
	sasl.Exchange
	m lookedAt
}

func (x lookingAt) Next(ctx context.Context, token []byte) (sasl.Step, error) {
	close(x.m.asked)
	<-x.m.gate
	return x.Exchange.Next(ctx, token)
}

// slowToy is a mechanism that waits for its context, as one that asks another server.
type slowToy struct{ asked chan struct{} }

func (slowToy) Name() string           { return "SLOW" }
func (m slowToy) Begin() sasl.Exchange { return m }

func (m slowToy) Next(ctx context.Context, _ []byte) (sasl.Step, error) {
	close(m.asked)
	<-ctx.Done()
	return sasl.Step{}, errors.New("the other server did not answer")
}

// TestADrainEndsAMechanismThatWaits, and its client is not told that it is the wrong one.
func TestADrainEndsAMechanismThatWaits(t *testing.T) {
	m := slowToy{make(chan struct{})}
	g := filterWithSASL(t, SASLConfig{Mechanisms: []sasl.Mechanism{m}, StepTimeout: time.Hour})
	g.handshake(0, "SLOW")
	if g.start([]byte("a token")) {
		t.Fatal("answered on the handler's goroutine")
	}
	<-m.asked
	g.sasl.Drain()
	g.await()
	if kind, _, why := g.request.Answer(); kind != reqchan.AnswerClose || why != reqchan.ServerDraining {
		t.Errorf("%v, %v", kind, why)
	}
}
