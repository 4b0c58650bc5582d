package kafka

import (
	"sync"
	"time"

	"kring"
	"kring/telemetry"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	keyGetTelemetry  = 71
	keyPushTelemetry = 72
	codeThrottled    = 89
	// pushesWaitingMax bounds how many pushes wait to be read. More are told to come again.
	pushesWaitingMax = 256
)

// TelemetryVersions are the APIs of client telemetry (KIP-714): serve them beside the others
// where the filter has Telemetry, and nowhere else, since clients that find them use them.
func TelemetryVersions() []VersionRange {
	return []VersionRange{{keyGetTelemetry, 0, 0}, {keyPushTelemetry, 0, 0}}
}

// serveTelemetry answers requests of client telemetry. It says whether r is one. A push is read
// on another goroutine: a large one takes some milliseconds.
func (d *Filter) serveTelemetry(r APIRequest) bool {
	if r.Header.Key != keyGetTelemetry && r.Header.Key != keyPushTelemetry {
		return false
	}
	req, err := r.Decode()
	if err != nil {
		r.CloseConnection(kring.ReasonBodyMalformed)
		return true
	}
	who := telemetryClient(r)
	switch req := req.(type) {
	case *kmsg.GetTelemetrySubscriptionsRequest:
		r.Respond(subscribed(req, d.Telemetry.Subscribe(time.Now(), who, req.ClientInstanceID)))
	case *kmsg.PushTelemetryRequest:
		resp := req.ResponseKind().(*kmsg.PushTelemetryResponse)
		push := telemetry.Push{
			Instance: req.ClientInstanceID, Subscription: req.SubscriptionID, Terminating: req.Terminating,
			Codec: req.CompressionType, Metrics: req.Metrics,
		}
		if !d.pushesLine.start(func() {
			resp.ErrorCode = d.Telemetry.Push(time.Now(), who, push)
			r.Respond(resp)
		}) {
			resp.ErrorCode = codeThrottled
			r.Respond(resp)
		}
	}
	return true
}

func telemetryClient(r APIRequest) telemetry.Client {
	c := r.Conn()
	return telemetry.Client{Conn: c.ID, ID: string(r.Header.ClientID), Software: c.Software(), Remote: c.Remote}
}

func subscribed(req *kmsg.GetTelemetrySubscriptionsRequest, a telemetry.Answer) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.GetTelemetrySubscriptionsResponse)
	resp.ErrorCode, resp.ClientInstanceID, resp.SubscriptionID = a.Code, a.Instance, a.Subscription
	resp.AcceptedCompressionTypes, resp.RequestedMetrics = a.Codecs, a.Metrics
	resp.PushIntervalMillis, resp.TelemetryMaxBytes, resp.DeltaTemporality = int32(a.Interval.Milliseconds()), int32(a.BytesMax), a.Delta
	return resp
}

// pushLine runs what it is given one after the other, on a goroutine that ends when there is
// nothing left. The zero value is ready.
type pushLine struct {
	mu      sync.Mutex
	running bool
	waiting []func() // the oldest first
}

// start runs f, soon. false: too many wait.
func (l *pushLine) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= pushesWaitingMax {
		return false
	}
	l.waiting = append(l.waiting, f)
	if !l.running {
		l.running = true
		go l.run()
	}
	return true
}

func (l *pushLine) run() {
	for f := l.next(); f != nil; f = l.next() {
		f()
	}
}

func (l *pushLine) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running, l.waiting = false, nil
		return nil
	}
	f := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return f
}
