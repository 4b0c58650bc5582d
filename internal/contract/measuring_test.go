package contract

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// naming takes the first word of a payload as the client's id, and answers with the payload.
func naming(r kring.Request) {
	id, _, _ := strings.Cut(string(r.Payload()), " ")
	r.Conn().SetClientID([]byte(id))
	if strings.HasSuffix(string(r.Payload()), "silence") {
		r.NoResponse()
		return
	}
	r.Respond(r.Payload())
}

// What connections do is counted by the id that their client gives itself, exactly, for as
// many ids as may be; the others are one. An id is gone with its last connection, and its
// place is another's.
func TestWhatClientsDoIsCountedByTheirIDs(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Measure.ClientIDsMax = 2
		s := servertest.Start(t, cfg, kring.HandlerFunc(naming))
		want := func(what string, all ...kring.ClientCount) {
			t.Helper()
			servertest.Eventually(t, fmt.Sprintf("%s: %+v", what, all), func() bool { return slices.Equal(s.Stats().Clients, all) })
		}
		other := kring.ClientCount{ID: "other"}
		want("nobody", other)
		a, again, b, c := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
		a.Ask("a 1", "a 1")
		again.Ask("a 22", "a 22")
		b.Ask("b 333", "b 333")
		c.Ask("c 4444", "c 4444")
		c.Ask("c 4444", "c 4444")
		countA := kring.ClientCount{ID: "a", Conns: 2, Requests: 2, BytesIn: 4 + 3 + 4 + 4, BytesOut: 4 + 3 + 4 + 4}
		countB := kring.ClientCount{ID: "b", Conns: 1, Requests: 1, BytesIn: 4 + 5, BytesOut: 4 + 5}
		other = kring.ClientCount{ID: "other", Conns: 1, Requests: 2, BytesIn: 2 * (4 + 6), BytesOut: 2 * (4 + 6)}
		want("all have asked", countA, countB, other)
		a.Send("a 1 silence", "a 2 silence")
		countA.Requests, countA.BytesIn = countA.Requests+2, countA.BytesIn+2*(4+11)
		want("what is not answered", countA, countB, other)
		again.Reset()
		countA.Conns--
		want("one of two is gone, and what it did is not", countA, countB, other)
		a.Reset()
		want("the id is gone", countB, other)
		servertest.Dial(t, s).Ask("d", "d")
		want("another has its place", countB, kring.ClientCount{ID: "d", Conns: 1, Requests: 1, BytesIn: 5, BytesOut: 5}, other)
		if conns := list(t, s); !slices.ContainsFunc(conns, func(i kring.ConnInfo) bool { return i.ClientID == "c" }) {
			t.Errorf("no connection of c is listed: %+v", conns)
		}
		servertest.Shutdown(t, s)
		other.Conns = 0
		want("all are gone", other)
	})
}

// slowOnes collects what is told of slow requests.
type slowOnes struct {
	mu  sync.Mutex
	all []kring.SlowRequest
}

func (s *slowOnes) add(r kring.SlowRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, r)
}

// taken waits until n requests were told of, and gives them.
func (s *slowOnes) taken(t *testing.T, n uint64) (all []kring.SlowRequest) {
	t.Helper()
	told := uint64(0)
	defer func() {
		if told != n {
			t.Errorf("%d were told of", told)
		}
	}()
	servertest.Eventually(t, fmt.Sprintf("%d requests are told of", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		told = 0
		for _, r := range s.all {
			told += r.Requests
		}
		if told == n {
			all, s.all = s.all, nil
		}
		return told == n
	})
	return all
}

// spin lets some time pass, which a test can rely on.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// A request that took longer than it may is told of once, with the stage that was long,
// however it ends; and not what it asked to wait for.
func TestSlowRequestsAreToldOfWithTheStageThatWasLong(t *testing.T) {
	const slow, long = 20 * time.Millisecond, 21 * time.Millisecond
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		var told slowOnes
		cfg.Measure.SlowRequest, cfg.Events.SlowRequest = slow, told.add
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.Conn().SetPrincipal("User:alice")
			switch string(r.Payload()) {
			case "here":
				spin(long)
				r.SetErrorCode(7)
				r.Respond([]byte("answer"))
			case "silence":
				spin(long)
				r.NoResponse()
			case "later":
				held <- r
			case "poll":
				r.AskedToWait(time.Hour)
				held <- r
			case "close":
				spin(long)
				r.CloseConnection(kring.ReasonHandlerClosed)
			}
		}))
		c := servertest.Dial(t, s)
		c.Ask("here", "answer")
		r := told.taken(t, 1)[0]
		if r.Local < long || r.Total < r.Local || r.Bytes != 4 || r.ResponseBytes != 4+6 || r.ErrorCode != 7 || r.Remote != 0 || r.Asked != 0 ||
			r.Conn.Remote.String() != c.LocalAddr().String() || r.Conn.Principal() != "User:alice" || r.API != kring.OtherAPI {
			t.Errorf("handled here: %+v", r)
		}
		c.Send("silence")
		if r := told.taken(t, 1)[0]; r.Local < long || r.ResponseBytes != 0 {
			t.Errorf("without a response: %+v", r)
		}
		c.Send("poll")
		poll := <-held
		spin(long)
		poll.Respond([]byte("records"))
		c.Receive()
		c.Send("later")
		later := <-held
		spin(long)
		later.Respond([]byte("late"))
		c.Receive()
		if r := told.taken(t, 1)[0]; r.Local+r.Remote < long || r.Total < r.Remote { // Handle may return late
			t.Errorf("answered later: %+v", r)
		}
		c.Send("close")
		if r := told.taken(t, 1)[0]; r.Local < long || r.ErrorCode != -1 {
			t.Errorf("closed: %+v", r)
		}
		c.AwaitClose()
	})
}

// Every request of many that come together is told of, alone or with others, and the parts of
// its way are no longer than all of it.
func TestEachOfManyRequestsTogetherIsToldOf(t *testing.T) {
	const n = 300
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, pipeline := range []int{1, 8} {
			var told slowOnes
			cfg.Limits.PipelineMax = pipeline
			cfg.Measure.SlowRequest, cfg.Events.SlowRequest = 1, told.add // everything is slow
			s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
				if strings.HasPrefix(string(r.Payload()), "poll") {
					r.AskedToWait(time.Hour)
				}
				r.Respond(r.Payload())
			}))
			c := servertest.Dial(t, s)
			var all []string
			for i := range n {
				all = append(all, fmt.Sprint(i), fmt.Sprint("poll", i))
			}
			go c.Send(all...)
			for _, want := range all {
				if got := c.Receive(); got != want {
					t.Fatalf("answer %q, want %q", got, want)
				}
			}
			for _, r := range told.taken(t, n) {
				if sum := r.Queue + r.Local + r.Remote + r.ResponseQueue + r.Send; r.Total <= 0 || sum < 0 || r.Asked != 0 {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}

// A client whose answers take long to leave, because it does not read, is told of as slow to
// be sent; and a handler of the event that panics ends nothing.
func TestTheTimeToSendIsTheClients(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		var told slowOnes
		cfg.Measure.SlowRequest = 50 * time.Millisecond
		cfg.Events.SlowRequest = func(r kring.SlowRequest) {
			told.add(r)
			panic("a listener's fault")
		}
		large := strings.Repeat("x", 8<<20)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { r.Respond([]byte(large)) }))
		c := servertest.Dial(t, s)
		c.Send("large")
		servertest.Eventually(t, "a part is sent", func() bool { return s.Stats().Total.BytesOut > 0 })
		spin(60 * time.Millisecond)
		if len(c.Receive()) != len(large) {
			t.Error("another response")
		}
		if r := told.taken(t, 1)[0]; r.Send < 50*time.Millisecond || r.ResponseBytes != len(large)+4 {
			t.Errorf("%+v", r)
		}
		servertest.Eventually(t, "the panic is counted", func() bool { return s.Stats().WatcherPanics == 1 })
		c.Ask("again", large)
	})
}
