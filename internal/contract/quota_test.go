package contract

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/embedded"
	"kring/internal/servertest"
	"kring/kafka"
	"kring/quota"
)

// metadata asks for no topics, and gives the throttle time of the response.
func metadata(t *testing.T, c *servertest.Client) time.Duration {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.Topics = []kmsg.MetadataRequestTopic{}
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("greedy")).AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	payload, err := servertest.ReadFrame(c)
	if err != nil {
		t.Fatal(err)
	}
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	if err := resp.ReadFrom(payload[5:]); err != nil { // the header: correlation id and no tags
		t.Fatal(err)
	}
	return time.Duration(resp.ThrottleMillis) * time.Millisecond
}

// handlers are those that speak Kafka, with these quotas.
func handlers(t *testing.T, q *quota.Quotas) map[string]func() kring.Handler {
	return map[string]func() kring.Handler{
		"null": func() kring.Handler {
			n, err := kafka.NewNull(kafka.NullConfig{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Close)
			filter := kafka.NewFilter(n.Versions(), n)
			filter.Quotas = q
			return filter
		},
		"embedded": func() kring.Handler {
			cluster, err := embedded.Open(embedded.Config{Quotas: q})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cluster.Close() })
			cluster.Advertise("127.0.0.1", 9092)
			return cluster
		},
	}
}

// Kafka: F-36, F-39, RequestQuotaTest.
func TestAClientOverItsQuotaIsToldAtOnceAndServedLater(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		const most = 4 * time.Millisecond
		q, err := quota.New(quota.Config{
			RequestThrottleMax: most,
			Limits:             []quota.Limit{{Entity: quota.Entity{ClientID: "greedy"}, Kind: quota.Requests, PerSecond: 0.1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, open := range handlers(t, q) {
			s := servertest.Start(t, cfg, open())
			c := servertest.Dial(t, s)
			metadata(t, c) // the one request of ten seconds; of both handlers, as it happens
			for range 3 {
				if throttle := metadata(t, c); throttle != most {
					t.Errorf("%s: told to wait %v, want %v", name, throttle, most)
				}
			}
			servertest.Shutdown(t, s)
		}
		if n := q.Stats().Throttled[quota.Requests]; n < 6 {
			t.Errorf("%d throttles", n)
		}
	})
}

// Kafka: F-34, RequestQuotaTest.
func TestLimitsOfClientsChangeWhileTheyAreServed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const most = 4 * time.Millisecond
		for name := range handlers(t, nil) {
			q, err := quota.New(quota.Config{RequestThrottleMax: most})
			if err != nil {
				t.Fatal(err)
			}
			s := servertest.Start(t, cfg, handlers(t, q)[name]())
			c := servertest.Dial(t, s)
			if throttle := metadata(t, c); throttle != 0 {
				t.Errorf("%s: told to wait %v without a limit", name, throttle)
			}
			low := quota.Limit{Entity: quota.Entity{ClientID: "greedy"}, Kind: quota.Requests, PerSecond: 0.1}
			for _, step := range []struct {
				limits []quota.Limit
				wrong  bool
				want   time.Duration
			}{
				{limits: []quota.Limit{low}, want: most},
				{limits: []quota.Limit{low, {}}, wrong: true, want: most},
				{limits: nil, want: 0},
				{limits: []quota.Limit{low}, want: most},
			} {
				if err := q.Set(step.limits); (err != nil) != step.wrong {
					t.Errorf("%s: limits %v: %v", name, step.limits, err)
				}
				metadata(t, c) // the one request of ten seconds
				if throttle := metadata(t, c); throttle != step.want {
					t.Errorf("%s: told to wait %v with %v, want %v", name, throttle, q.Limits(), step.want)
				}
			}
			servertest.Shutdown(t, s)
		}
	})
}
