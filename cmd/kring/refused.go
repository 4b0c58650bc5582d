package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
	"kring/reqchan"
)

// refusals logs requests that were refused and whose connection was closed: the
// first of a kind at once, then at most one line for each kind in every, with the
// number of requests.
//
// A handler must not wait for standard error, and a flood of refusals must not fill
// it. So add counts, and keeps one refusal of each kind for the goroutine that
// writes.
type refusals struct {
	log   *slog.Logger
	every time.Duration
	wake  chan struct{} // holds one: there is something to write
	quit  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	kinds [reqchan.ReasonCount]refused // guarded by mu; index: the reason
}

// refused is what was not logged yet of one kind.
type refused struct {
	first    refusal   // since the last line
	requests uint64    // since the last line
	next     time.Time // no line before it
}

type refusal struct {
	conn     *kring.Conn
	header   kafka.Header // without its client id
	clientID string
	reason   kring.CloseReason
	why      string
}

const (
	// refusalsEvery is the least time between two lines of one kind.
	refusalsEvery = 10 * time.Second
	// clientIDBytesMax bounds how much of a client id is logged.
	clientIDBytesMax = 100
)

func newRefusals(log *slog.Logger, every time.Duration) *refusals {
	r := &refusals{log: log, every: every, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go r.write()
	return r
}

// add is Filter.Rejected. It does not block.
func (r *refusals) add(c *kring.Conn, h kafka.Header, why *kafka.Fault) {
	id := string(h.ClientID[:min(len(h.ClientID), clientIDBytesMax)])
	h.ClientID = nil // it lies in the request
	r.keep(refusal{c, h, id, why.Reason, why.Error()})
}

// noRequest are the reasons to close a connection before there is a request.
var noRequest = map[kring.CloseReason]string{
	reqchan.FrameTooBig:       "the first four bytes are a size above --max-frame-bytes",
	reqchan.FrameSizeNegative: "the first four bytes are a negative size; the client does not speak Kafka's protocol",
	reqchan.FrameTimeout:      "a request was begun and did not come within --frame-timeout",

	reqchan.ProxyHeaderMissing:   "the connection came from a network of --proxy-protocol and did not begin with a header: have the load balancer send one, or take its network out",
	reqchan.ProxyHeaderMalformed: "the connection came from a network of --proxy-protocol, and its header can't be read",
	reqchan.ProxyHeaderUntrusted: "the connection began with a PROXY protocol header and came from no network of --proxy-protocol: add it, if it is a load balancer's",
	reqchan.ProxyHeaderTimeout:   "the connection came from a network of --proxy-protocol, and no header came within --proxy-timeout",

	reqchan.TLSOnPlaintext:        "the client speaks TLS, and this listener does not; let it connect to one named SSL or SASL_SSL, or set its security.protocol=PLAINTEXT",
	reqchan.PlaintextOnTLS:        "the client speaks no TLS, and this listener does; set its security.protocol=SSL (or SASL_SSL)",
	reqchan.HTTPRequest:           "the client speaks HTTP; this is the port of a Kafka broker",
	reqchan.HandshakeFailed:       "the TLS handshake failed, or what came after it was no TLS",
	reqchan.HandshakeTimeout:      "the TLS handshake was not done in its time",
	reqchan.HandshakesFull:        "as many TLS handshakes had begun as there may be",
	reqchan.Truncated:             "the client's bytes ended inside a TLS record, without close_notify",
	reqchan.AuthenticationTimeout: "the client had not authenticated within --auth-timeout",
	reqchan.AuthenticationFailed:  "who the client says it is was not proved",
}

// closed is Events.ConnClosed. It does not block.
func (r *refusals) closed(c *kring.Conn, why kring.CloseReason) {
	if text, ok := noRequest[why]; ok {
		if err := c.EndDetail(); err != nil {
			text += ": " + oneLine(err.Error())
		} else if why == reqchan.AuthenticationFailed {
			return // a handler's, which has a line of its own
		}
		r.keep(refusal{conn: c, header: kafka.Header{Key: -1}, reason: why, why: text})
	}
}

func (r *refusals) keep(of refusal) {
	r.mu.Lock()
	k := &r.kinds[of.reason]
	k.requests++
	first := k.requests == 1
	if first {
		k.first = of
	}
	r.mu.Unlock()
	if !first {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *refusals) write() {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.wake:
		case <-timer.C:
		case <-r.quit:
			r.writeDue(time.Time{})
			return
		}
		if wait := r.writeDue(time.Now()); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// writeDue writes the lines that are due, or every line if now is zero. It returns how
// long until the next one is due; 0: none is.
func (r *refusals) writeDue(now time.Time) (wait time.Duration) {
	for reason := range r.kinds {
		r.mu.Lock()
		k := &r.kinds[reason]
		due, left := *k, k.next.Sub(now)
		switch {
		case due.requests == 0:
		case left > 0 && !now.IsZero():
			if wait == 0 || left < wait {
				wait = left
			}
			due.requests = 0
		default:
			*k = refused{next: now.Add(r.every)}
		}
		r.mu.Unlock()
		if due.requests > 0 {
			r.line(due)
		}
	}
	return wait
}

func (r *refusals) line(k refused) {
	f := k.first
	attrs := []any{"reason", f.reason.String()}
	if f.header.Key >= 0 {
		attrs = append(attrs, "api", kmsg.NameForKey(f.header.Key), "api_key", f.header.Key, "version", f.header.Version)
	}
	attrs = append(attrs, "remote", reqchan.EndString(f.conn.Remote), "listener", f.conn.Listener, "client_id", f.clientID)
	if p := f.conn.Proxy(); p != nil {
		attrs = append(attrs, "forwarder", reqchan.EndString(p.Remote))
	}
	if s := f.conn.Software(); s.Name != "" {
		attrs = append(attrs, "software", s.Name+" "+s.Version)
	}
	attrs = append(attrs, "why", f.why)
	if k.requests > 1 {
		attrs = append(attrs, "requests", k.requests)
	}
	r.log.Warn("a request was refused and its connection closed", attrs...)
}

// end writes what is left. The server must have ended.
func (r *refusals) end() {
	close(r.quit)
	<-r.done
}
