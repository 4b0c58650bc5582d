package telemetry

import (
	"encoding/base64"
	"errors"
	"time"
)

// String is the id as Kafka writes ids: base64 for URLs, without padding.
func (id InstanceID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Push is a PushTelemetry request. Metrics are not kept.
type Push struct {
	Instance     InstanceID
	Subscription int32
	Terminating  bool
	Codec        int8
	Metrics      []byte
}

// Push takes what c pushes, and returns the error code to answer with, 0 for none. It may take
// some milliseconds for a large payload.
func (s *State) Push(now time.Time, c Client, p Push) int16 {
	asked, code := s.accept(now, c, p)
	if code != codeNone || len(p.Metrics) == 0 {
		return code
	}
	s.inflating.Lock()
	defer s.inflating.Unlock()
	read := reading{asked: asked}
	inflated, err := s.read(&read, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		code = codeInvalidRecord
		if errors.Is(err, errTooLarge) {
			code = codeTelemetryTooLarge
		}
	}
	s.counts.Bytes += uint64(len(p.Metrics))
	s.counts.Inflated += uint64(len(inflated))
	s.counts.Dropped += read.dropped
	if e := s.instances[p.Instance]; e != nil { // its connection may have ended meanwhile
		i := e.Value.(*instance)
		i.lastError = code
		if code == codeNone {
			s.counts.Dropped += s.keep(i, &read)
		}
	}
	return s.reject(code)
}

var errPanicked = errors.New("telemetry: reading it panicked")

// read decompresses and reads what was pushed. What panics at bytes of a client is like any other
// that can't be read. inflating is held.
func (s *State) read(into *reading, p Push) (inflated []byte, err error) {
	defer func() {
		if recover() != nil {
			s.inflater, inflated, err = inflater{}, nil, errPanicked
		}
	}()
	inflate := s.inflater.inflate
	if s.inflate != nil {
		inflate = s.inflate
	}
	if inflated, err = inflate(p.Codec, p.Metrics, s.cfg.InflatedBytesMax); err == nil {
		err = into.metrics(inflated)
	}
	return inflated, err
}

// accept judges a push, in the order of Kafka's validatePushRequest, and says what its
// client was asked for.
func (s *State) accept(now time.Time, c Client, p Push) (asked []string, code int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Pushes++
	if p.Instance.reserved() {
		return nil, s.reject(codeInvalidRequest)
	}
	i := s.instance(now, c, p.Instance)
	switch {
	case i.terminating:
		code = codeInvalidRequest
	case i.tooEarlyToPush(now) && !p.Terminating:
		code = codeThrottled
	case p.Subscription != i.subscription:
		code = codeUnknownSubscription
	case p.Codec < 0 || int(p.Codec) > codecMax:
		code = codeUnsupportedCodec
	case len(p.Metrics) > s.cfg.BytesMax:
		code = codeTelemetryTooLarge
	}
	if code != codeInvalidRequest && code != codeThrottled {
		i.pushed = now // maybeUpdatePushRequestTimestamp: it was its turn
	}
	i.terminating = i.terminating || p.Terminating
	i.lastError = code
	return i.metrics, s.reject(code)
}
