package gateway

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// agreeing has brokers say that the cluster agreed on a level of transaction.version.
func agreeing(level *int16) func(*stageLink, kmsg.Request, kmsg.Response) {
	return func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if r, ok := resp.(*kmsg.ApiVersionsResponse); ok {
			r.FinalizedFeaturesEpoch = int64(*level)
			r.FinalizedFeatures = []kmsg.ApiVersionsResponseFinalizedFeature{{Name: "transaction.version", MaxVersionLevel: *level, MinVersionLevel: *level}}
		}
	}
}

// askLevel asks for the versions as a new client.
func (s *stage) askLevel(meanwhile func()) int16 {
	s.t.Helper()
	c := s.client("ab")
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 4
	r := c.send(req, "")
	meanwhile()
	if len(c.requests) > 0 || c.closed {
		s.t.Fatalf("ApiVersions was not answered (closed: %t)", c.closed)
	}
	c.leave()
	return r.resp.(*kmsg.ApiVersionsResponse).FinalizedFeatures[0].MaxVersionLevel
}

// TestFeaturesThatTheClusterAgreesOnReachClientsWithoutANewConnection: transactions of version 2
// are agreed on after the last broker was upgraded, and a busy connection to it may last for ever.
func TestFeaturesThatTheClusterAgreesOnReachClientsWithoutANewConnection(t *testing.T) {
	s := newStage(t, nil)
	level := int16(1)
	s.change = agreeing(&level)
	s.tick(0)
	s.run()
	busy := s.client("ab")
	busy.ask(0)
	s.run()
	for range 3 {
		if got := s.askLevel(s.run); got != level {
			t.Errorf("level %d is announced, and the cluster agreed on %d", got, level)
		}
		level++
		dials := s.dials
		for range 32 {
			s.tick(time.Second)
			s.run()
			busy.ask(0)
			s.run()
		}
		if s.dials != dials {
			t.Fatalf("%d connections were made", s.dials-dials)
		}
	}
	s.finish()
}

// TestFeaturesAreAskedForAnewAfterAQuietTime: no connection is left that could be asked.
func TestFeaturesAreAskedForAnewAfterAQuietTime(t *testing.T) {
	s := newStage(t, nil)
	level := int16(1)
	s.change = agreeing(&level)
	s.tick(0)
	s.run()
	s.askLevel(s.run)
	level = 2
	for range 10 { // a request to ask again keeps no idle connection
		s.tick(time.Minute)
		s.run()
	}
	n := s.g.node(1)
	for _, l := range s.links {
		if l.u.node == n {
			t.Error("a connection is kept that nobody uses")
		}
	}
	if got := s.askLevel(s.run); got != level {
		t.Errorf("level %d is announced, and the cluster agreed on %d", got, level)
	}
	s.finish()
}

// TestABrokerThatIsGoneAnnouncesWhatItSaidLast: after a quiet time as well.
func TestABrokerThatIsGoneAnnouncesWhatItSaidLast(t *testing.T) {
	s := newStage(t, nil)
	level := int16(1)
	s.change = agreeing(&level)
	s.tick(0)
	s.run()
	s.askLevel(s.run)
	for range 10 {
		s.tick(time.Minute)
		s.run()
	}
	n := s.g.node(1)
	got := s.askLevel(func() {
		for range 20 {
			for _, l := range append([]*stageLink(nil), s.links...) {
				if l.u.node == n {
					l.end(errors.New("refused"), false)
				}
			}
			s.tick(tickEvery)
		}
	})
	if got != level {
		t.Errorf("level %d is announced, and the broker said %d", got, level)
	}
	s.finish()
}
