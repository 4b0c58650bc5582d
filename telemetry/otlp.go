package telemetry

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of OTLP's MetricsData that are read (opentelemetry/proto/metrics/v1). A generated
// decoder would allocate for each empty message of two bytes some hundred; this one reads in
// place, and skips what it does not know.
const (
	fieldResourceMetrics = 1 // of MetricsData
	fieldScopeMetrics    = 2 // of ResourceMetrics
	fieldMetrics         = 2 // of ScopeMetrics

	fieldName  = 1 // of Metric
	fieldGauge = 5
	fieldSum   = 7

	fieldPoints      = 1 // of Gauge and Sum
	fieldTemporality = 2 // of Sum
	temporalityDelta = 1

	fieldDouble = 4 // of NumberDataPoint
	fieldInt    = 6
)

// nameBytesMax is the longest name of a metric that is read.
const nameBytesMax = 200

// errMalformed: a payload is no MetricsData.
var errMalformed = errors.New("telemetry: the payload is no OTLP MetricsData")

// reading is what is read of one push: the metrics that were asked for, and one value of each,
// whatever labels its points have.
type reading struct {
	asked   []string
	read    []read
	dropped uint64 // points
}

// valuesMax is how many metrics of one instance are kept.
const valuesMax = 64

// read is one metric of a push.
type read struct {
	name  string
	sum   bool // the points add up, else it is a gauge
	delta bool
	n     int // points
	value float64
}

func (r *reading) metrics(b []byte) error {
	return each(b, fieldResourceMetrics, func(b []byte) error {
		return each(b, fieldScopeMetrics, func(b []byte) error {
			return each(b, fieldMetrics, r.metric)
		})
	})
}

// each calls f for every field of this number, which must be a message; others are skipped.
func each(b []byte, number protowire.Number, f func([]byte) error) error {
	return fields(b, func(n protowire.Number, t protowire.Type, v []byte, _ uint64) error {
		if n != number {
			return nil
		}
		if t != protowire.BytesType {
			return errMalformed
		}
		return f(v)
	})
}

// fields calls f for every field of a message, with its bytes or its number.
func fields(b []byte, f func(n protowire.Number, t protowire.Type, bytes []byte, number uint64) error) error {
	for len(b) > 0 {
		number, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errMalformed
		}
		b = b[size:]
		size = protowire.ConsumeFieldValue(number, kind, b)
		if size < 0 {
			return errMalformed
		}
		var bytes []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			bytes, _ = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, _ = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			n = binary.LittleEndian.Uint64(b)
		}
		if err := f(number, kind, bytes, n); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (r *reading) metric(b []byte) error {
	var name, points []byte
	sum := false
	err := fields(b, func(n protowire.Number, t protowire.Type, v []byte, _ uint64) error {
		if (n == fieldName || n == fieldGauge || n == fieldSum) && t != protowire.BytesType {
			return errMalformed
		}
		switch n {
		case fieldName:
			name = v
		case fieldGauge, fieldSum:
			points, sum = v, n == fieldSum
		}
		return nil
	})
	if err != nil || points == nil { // a histogram, or a summary
		return err
	}
	is := r.find(name, sum)
	if is != nil && sum {
		if is.delta, err = isDelta(points); err != nil {
			return err
		}
	}
	return each(points, fieldPoints, func(b []byte) error { return r.point(is, b) })
}

func isDelta(b []byte) (delta bool, err error) {
	err = fields(b, func(n protowire.Number, t protowire.Type, _ []byte, v uint64) error {
		if n == fieldTemporality && t == protowire.VarintType {
			delta = v == temporalityDelta
		}
		return nil
	})
	return delta, err
}

func (r *reading) point(to *read, b []byte) error {
	var value float64
	known := false
	err := fields(b, func(n protowire.Number, t protowire.Type, _ []byte, v uint64) error {
		switch {
		case n == fieldDouble && t == protowire.Fixed64Type:
			value, known = math.Float64frombits(v), true
		case n == fieldInt && t == protowire.Fixed64Type:
			value, known = float64(int64(v)), true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if to == nil || !known {
		r.dropped++
		return nil
	}
	if math.IsNaN(value) || math.IsInf(value, 0) { // Java's, of what has not happened yet
		return nil
	}
	to.add(value)
	return nil
}

// find is where the values of a metric go; nil: nobody asked for it, or there are too many.
func (r *reading) find(name []byte, sum bool) *read {
	for i := range r.read {
		if r.read[i].name == string(name) {
			return &r.read[i]
		}
	}
	if len(name) > nameBytesMax || len(r.read) >= valuesMax || !plain(name) || !slices.ContainsFunc(r.asked, func(prefix string) bool {
		return prefix == Everything || strings.HasPrefix(string(name), prefix)
	}) {
		return nil
	}
	r.read = append(r.read, read{name: string(name), sum: sum})
	return &r.read[len(r.read)-1]
}

// plain says that a name is of letters, digits and . _ - alone: it becomes a label.
func plain(name []byte) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return len(name) > 0
}

// add adds one point of a metric: of its labels (a node, a partition) nothing is kept. Sums add
// up; of gauges it is the largest, the smallest or the mean, by what they are called.
func (r *read) add(value float64) {
	r.n++
	switch {
	case r.n == 1:
		r.value = value
	case r.sum:
		r.value += value
	case strings.HasSuffix(r.name, ".max"):
		r.value = max(r.value, value)
	case strings.HasSuffix(r.name, ".min"):
		r.value = min(r.value, value)
	default:
		r.value += (value - r.value) / float64(r.n)
	}
}
