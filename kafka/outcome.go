package kafka

import (
	"encoding/binary"
	"time"
)

// outcomeElementsMax is among how many elements of a response an error is looked
// for: a response with more of them costs more than to be counted.
const outcomeElementsMax = 256

// ErrorCode reads from a response how its request fared: the first error code
// that is not 0, be it of the whole response or of one of its elements (topics,
// partitions, groups). It is 0 when there is none, when it stands behind more
// than 256 elements, or when the response can't be read. request and response
// are payloads, with their headers. It does not allocate.
func ErrorCode(request, response []byte) int16 {
	key, version := APIOf(request)
	return errorCode(key, version, response)
}

func errorCode(key, version int16, response []byte) int16 {
	return readOutcome(key, version, response, outcomeElementsMax, false).failure
}

// ThrottleOf reads from a response (a payload, with its header) for how long its connection
// is throttled; 0 when it says nothing of that. It does not allocate.
func ThrottleOf(key, version int16, response []byte) time.Duration {
	at := throttleAt(key, version, response)
	if at < 0 {
		return 0
	}
	return time.Duration(max(0, int32(binary.BigEndian.Uint32(response[at:])))) * time.Millisecond
}

// throttleAt is where the throttle time lies in a response, or in its beginning;
// -1 when it is not there.
func throttleAt(key, version int16, response []byte) int {
	return readOutcome(key, version, response, ElementsMaxDefault, true).throttleAt
}

// outcome is what a response says of how its request fared.
type outcome struct {
	failure     int16
	throttleAt  int  // in the payload; -1: not found
	forThrottle bool // what is looked for
	size        int  // of the payload
}

// faultFound ends a walk that has found what it looks for.
var faultFound = &Fault{}

func readOutcome(key, version int16, response []byte, elements int, forThrottle bool) outcome {
	none := outcome{throttleAt: -1, forThrottle: forThrottle, size: len(response)}
	d := describe(key)
	if d == nil || version < 0 || version > d.max {
		return none
	}
	header := 4
	if version >= d.flexible && key != keyApiVersions {
		header = responseHeaderBytesMax
	}
	if len(response) < header {
		return none
	}
	s := &responseSchemas()[key][version]
	w := walker{reader: reader{left: response[header:]}, flexible: s.flexible, elements: elements, outcome: none}
	to := s.toErrors
	if forThrottle {
		to = s.toThrottle
	}
	w.walk(s.nodes[:to])
	return w.outcome
}

// code takes an error code, and ends the walk if that is what is looked for.
func (w *walker) code() {
	b := w.take(2)
	if b == nil || w.whole || w.outcome.forThrottle {
		return
	}
	if w.outcome.failure = int16(binary.BigEndian.Uint16(b)); w.outcome.failure != 0 {
		w.fail(faultFound)
	}
}

// throttle takes a throttle time.
func (w *walker) throttle() {
	at := w.outcome.size - len(w.left)
	if w.take(4) != nil && w.outcome.forThrottle {
		w.outcome.throttleAt = at
		w.fail(faultFound)
	}
}
