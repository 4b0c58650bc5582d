package contract

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/reqchan"
)

// kafkaNull is the null handler behind its filter.
func kafkaNull(t *testing.T) *kafka.Filter {
	n, err := kafka.NewNull(kafka.NullConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return kafka.NewFilter(n.Versions(), n)
}

// askKafka sends a request and waits for its answer.
func askKafka(c *servertest.Client, req kmsg.Request, version int16) {
	req.SetVersion(version)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)
	c.Send(string(frame[4:]))
	c.Receive()
}

func apiVersions(name, version string) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
	return req
}

// softwareOf counts the connections that say they are of a client software.
func softwareOf(s *kring.Server, name string) int {
	n := 0
	for _, c := range s.Stats().Software {
		if c.Name == name {
			n += c.Connections
		}
	}
	return n
}

// api finds what is known of an API.
func api(s *kring.Server, key int16) kring.RequestStats {
	for _, r := range s.Stats().Requests {
		if r.API == key {
			return r
		}
	}
	return kring.RequestStats{}
}

// A connection counts as one of unknown software until it says what it is, then
// as that, and no more when it has ended.
//
// Kafka: SS-02, SS-03, SE-28, SE-29, F-22.
func TestConnectionsAreCountedByClientSoftware(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kafkaNull(t))
		is := func(what string, unknown, known int) {
			t.Helper()
			servertest.Eventually(t, what, func() bool {
				return softwareOf(s, "unknown") == unknown && softwareOf(s, "franz") == known
			})
		}
		old, fresh := servertest.Dial(t, s), servertest.Dial(t, s)
		is("both are unknown", 2, 0)
		askKafka(old, apiVersions("franz", "1.0"), 0)
		askKafka(fresh, apiVersions("franz", "1.0"), 3)
		is("one says what it is", 1, 1)
		if n := s.Stats().Total.Opened; n != 2 {
			t.Errorf("%d connections were opened, not 2", n)
		}
		for _, c := range list(t, s) {
			if known := c.Software.Name == "franz"; known != (c.Remote.String() == fresh.LocalAddr().String()) {
				t.Errorf("%v says %+v", c.Remote, c.Software)
			}
		}
		fresh.Reset()
		is("it is gone", 1, 0)
		old.Reset()
		is("both are gone", 0, 0)
	})
}

// Requests are counted by API and version, and those of versions that should
// not be used any more by who sent them.
//
// Kafka: SS-04.
func TestRequestsAreCountedByVersionAndDeprecatedOnesBySender(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const metadata = 3
		cfg.Dispatch.Deprecated = func(key, version int16) bool { return key == metadata && version < 4 }
		s := servertest.Start(t, cfg, kafkaNull(t))
		c := servertest.Dial(t, s)
		askKafka(c, kmsg.NewPtrMetadataRequest(), 1)
		askKafka(c, apiVersions("franz", "1.0"), 3)
		askKafka(c, kmsg.NewPtrMetadataRequest(), 1)
		askKafka(c, kmsg.NewPtrMetadataRequest(), 12)
		c.Send("no request of any API")
		c.AwaitClose()
		servertest.Eventually(t, "all are measured", func() bool {
			return api(s, metadata).Total.Count == 3 && api(s, 18).Total.Count == 1
		})
		if v := api(s, metadata).Versions; v[1] != 2 || v[12] != 1 || len(v) != 2 {
			t.Errorf("versions of Metadata: %v", v)
		}
		uses := s.Stats().Deprecated
		if len(uses) != 2 || uses[0].Software.Name != "" || uses[0].Requests != 1 ||
			uses[1].Software.Name != "franz" || uses[1].Requests != 1 || uses[1].Version != 1 {
			t.Errorf("deprecated: %+v", uses)
		}
	})
}

// A request that is finished later, by another goroutine or by the same, is
// measured once, and the time that is long is the one in which it passed.
//
// Kafka: KafkaRequestHandlerTest.
func TestTheTimesOfARequestSayWhereItWas(t *testing.T) {
	const long = 3 * time.Millisecond
	pass := func() {
		for start := time.Now(); time.Since(start) < long; {
		}
	}
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Dispatch.Handlers = 1, 1
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch string(r.Payload()) {
			case "here":
				pass()
				r.Respond(r.Payload())
			case "later":
				held <- r
			default:
				r.Respond(r.Payload())
			}
		}))
		measured := func(n uint64) kring.RequestStats {
			servertest.Eventually(t, "it is measured", func() bool { return api(s, kring.OtherAPI).Total.Count == n })
			return api(s, kring.OtherAPI)
		}
		one, other := servertest.Dial(t, s), servertest.Dial(t, s)
		one.Ask("here", "here")
		r := measured(1)
		if us := uint64(long.Microseconds()); r.Local.Max < us || r.Total.Max < us || r.Remote.Max != 0 || r.Bytes.Sum != 4 {
			t.Errorf("handled at once: local %d, remote %d, total %d µs, %d bytes", r.Local.Max, r.Remote.Max, r.Total.Max, r.Bytes.Sum)
		}
		one.Send("later")
		later := <-held
		other.Ask("now", "now") // by the same goroutine: it has returned from the one before
		pass()
		later.Respond([]byte("late"))
		one.Receive()
		r = measured(3)
		if us := uint64(long.Microseconds()); r.Remote.Max < us || r.Remote.Count != 3 || r.Local.Count != 3 {
			t.Errorf("answered later: remote %+v, local %+v", r.Remote, r.Local)
		}
	})
}

// How long a request has its connection muted is measured as it is bounded.
//
// Kafka: F-36.
func TestThrottleTimesAreMeasured(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.ThrottleMax = 7 * time.Millisecond
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.Throttle(time.Hour)
			r.Respond(r.Payload())
		}))
		servertest.Dial(t, s).Ask("one", "one")
		servertest.Eventually(t, "it is measured", func() bool { return api(s, kring.OtherAPI).Total.Count == 1 })
		if d := api(s, kring.OtherAPI).Throttle; d.Count != 1 || d.Max != 7000 {
			t.Errorf("throttled: %+v", d)
		}
	})
}

// A client that leaves while its answer is under way is measured once: when the
// answer finds the connection gone, and when it was half sent.
//
// Kafka: SS-29, SS-32, F-46, F-47, F-54.
func TestARequestWhoseClientLeavesIsMeasuredOnce(t *testing.T) {
	for name, response := range map[string]string{"none": "", "small": "answer", "large": strings.Repeat("x", 8<<20)} {
		t.Run(name, func(t *testing.T) {
			servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
				g := newGated()
				s := servertest.Start(t, cfg, g)
				c := servertest.Dial(t, s)
				c.Send("later")
				r := <-g.held
				if name == "large" { // more than fits between us: the rest waits to be sent
					r.Respond([]byte(response))
					servertest.Eventually(t, "a part is sent", func() bool { return s.Stats().Total.Sends > 0 })
					c.Reset()
				} else {
					gone := r.Conn().Done()
					c.Reset()
					<-gone
					servertest.Eventually(t, "the connection is closed", func() bool { return s.Stats().Open == 0 })
					r.Respond([]byte(response))
				}
				servertest.Eventually(t, "it is measured", func() bool { return api(s, kring.OtherAPI).Total.Count == 1 })
				servertest.Shutdown(t, s)
				if n := api(s, kring.OtherAPI).Total.Count; n != 1 {
					t.Errorf("measured %d times", n)
				}
			})
		})
	}
}

// Bytes are counted as they come and go, before their frame is whole.
//
// Kafka: SE-08.
func TestBytesAreCountedWithPartialProgress(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		frame := servertest.Frame([]byte("0123456789"))
		for i, b := range frame {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
			servertest.Eventually(t, "the byte is counted", func() bool { return s.Stats().Total.BytesIn == uint64(i+1) })
		}
		if got := c.Receive(); got != "0123456789" {
			t.Errorf("answer %q", got)
		}
		servertest.Eventually(t, "the answer is counted", func() bool { return s.Stats().Total.BytesOut == uint64(len(frame)) })
	})
}

// What was counted can be read while the server serves, drains and is down, and
// what counts the present is 0 in the end.
//
// Kafka: SS-33, SS-34, SS-35, SE-31.
func TestStatsCanBeReadAtAnyTime(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kafkaNull(t))
		var down atomic.Bool
		var reader sync.WaitGroup
		reader.Go(func() {
			for before := (kring.Stats{}); !down.Load(); {
				st := s.Stats()
				if n, h := st.NetworkIdle(before), st.HandlerIdle(before); n < 0 || n > 1 || h < 0 || h > 1 {
					t.Errorf("idle ratios %v and %v", n, h)
				}
				before = st
			}
		})
		clients := make([]*servertest.Client, 4)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
			askKafka(clients[i], apiVersions("franz", "1.0"), 3)
		}
		servertest.Shutdown(t, s)
		down.Store(true)
		reader.Wait()
		st := s.Stats()
		if len(st.Software) != 0 || st.QueuedRequests != 0 || st.Total.ResponsesWaiting != 0 || st.Handlers.Handlers != 0 {
			t.Errorf("left: %+v, %d requests, %d responses, %d handlers", st.Software, st.QueuedRequests, st.Total.ResponsesWaiting, st.Handlers.Handlers)
		}
		requests, ids := uint64(0), map[uint32]bool{}
		for _, p := range st.Processors {
			requests += p.Requests
			ids[p.ID] = true
		}
		if requests != 4 || st.Total.Requests != 4 || api(s, 18).Total.Count != 4 || len(ids) != cfg.Processors.Count {
			t.Errorf("%d requests of processors, %d in total, %d measured; processors %v", requests, st.Total.Requests, api(s, 18).Total.Count, ids)
		}
		if len(st.Listeners) != 1 || st.Listeners[0].Name == "" {
			t.Errorf("listeners: %+v", st.Listeners)
		}
	})
}

// Handlers say what became of a request, and it is counted.
func TestErrorsOfHandlersAreCounted(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "bad" {
				r.SetErrorCode(42)
				r.CloseConnection(reqchan.HandlerClosed)
				return
			}
			r.Respond(r.Payload())
		}))
		c := servertest.Dial(t, s)
		c.Ask("good", "good")
		c.Ask("good", "good")
		c.Send("bad")
		c.AwaitClose()
		servertest.Eventually(t, "all are counted", func() bool {
			e := api(s, kring.OtherAPI).Errors
			return e[0] == 2 && e[42] == 1 && len(e) == 2
		})
	})
}

// The handlers that speak Kafka say it by what they answer: by the response's own
// error code, or the first of its elements.
func TestErrorsInResponsesAreCounted(t *testing.T) {
	unknownGroup := kmsg.NewPtrHeartbeatRequest()
	unknownGroup.Group, unknownGroup.MemberID = "none", "nobody"
	noCoordinator := kmsg.NewPtrFindCoordinatorRequest()
	noCoordinator.CoordinatorKey = "group"
	nowhere := kmsg.NewPtrProduceRequest()
	nowhere.Version, nowhere.Acks = 7, 1
	topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, partition.Partition = "missing", 4711
	topic.Partitions = append(topic.Partitions, partition)
	nowhere.Topics = append(nowhere.Topics, topic)
	nameless := kmsg.NewPtrApiVersionsRequest()
	nameless.Version = 3
	fine := kmsg.NewPtrMetadataRequest()
	fine.Version, fine.Topics = 9, []kmsg.MetadataRequestTopic{}
	for name, requests := range map[string]map[kmsg.Request]int16{
		"null":     {noCoordinator: 15, nowhere: 3, nameless: 42, fine: 0},
		"embedded": {unknownGroup: 25, nowhere: 3, nameless: 42, fine: 0},
	} {
		servertest.Each(t, func(t *testing.T, cfg kring.Config) {
			s := servertest.Start(t, cfg, handlers(t, nil)[name]())
			c := servertest.Dial(t, s)
			for req, code := range requests {
				exchange(t, c, req)
				servertest.Eventually(t, kmsg.NameForKey(req.Key())+" is counted by its error", func() bool {
					e := api(s, req.Key()).Errors
					return e[code] == 1 && len(e) == 1
				})
			}
		})
	}
}
