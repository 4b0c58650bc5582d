package kafka

import (
	"time"

	"kring"
	"kring/internal/fairqueue"
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
		answer := func(code int16) {
			resp.ErrorCode = code
			r.Respond(resp)
		}
		refuse := func() { answer(codeThrottled) }
		read := work{
			run:    func() { answer(d.Telemetry.Push(time.Now(), who, push)) },
			drop:   refuse,
			failed: func() { r.CloseConnection(kring.ReasonHandlerPanicked) },
		}
		if !d.pushesLine.start(fairqueue.KeyOf(addrOf(r.Raw)), read) {
			refuse()
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
