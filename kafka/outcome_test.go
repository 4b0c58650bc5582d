package kafka

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"kring/internal/kmsgtest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// firstError finds, in the order of the wire, the first error code of a response
// that is not 0 and stands in version, by decoding what was encoded.
func firstError(v reflect.Value) int16 {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "ErrorCode" && v.Field(i).Int() != 0 {
				return int16(v.Field(i).Int())
			}
			if code := firstError(v.Field(i)); code != 0 {
				return code
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if code := firstError(v.Index(i)); code != 0 {
				return code
			}
		}
	}
	return 0
}

// sparse keeps about one error code in so many.
func sparse(r *rand.Rand, v reflect.Value, of int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "ErrorCode" && r.IntN(of) > 0 {
				v.Field(i).SetInt(0)
			} else {
				sparse(r, v.Field(i), of)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			sparse(r, v.Index(i), of)
		}
	}
}

// randomResponse returns a payload, and its decoded form.
func randomResponse(r *rand.Rand, key, version int16) ([]byte, kmsg.Response) {
	resp := kmsg.ResponseForKey(key)
	kmsgtest.Fill(r, reflect.ValueOf(resp).Elem())
	sparse(r, reflect.ValueOf(resp).Elem(), 1+r.IntN(4))
	resp.SetVersion(version)
	head := AppendResponseHeader(nil, key, version, 4711)
	payload := resp.AppendTo(head)
	decoded := kmsg.ResponseForKey(key)
	decoded.SetVersion(version)
	if err := decoded.ReadFrom(payload[len(head):]); err != nil {
		panic(err)
	}
	return payload, decoded
}

func TestTheFirstErrorOfEveryResponseIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	found := 0
	everyVersion(func(d *description, version int16) {
		for range 6 {
			payload, decoded := randomResponse(r, d.key, version)
			want := firstError(reflect.ValueOf(decoded).Elem())
			if got := errorCode(d.key, version, payload); got != want {
				t.Fatalf("%s v%d: error code %d, want %d, of %+v", d.name, version, got, want, decoded)
			}
			if want != 0 {
				found++
			}
			for _, cut := range []int{0, 3, r.IntN(len(payload)), len(payload) - 1} {
				errorCode(d.key, version, payload[:cut]) // whatever it finds
				throttleAt(d.key, version, payload[:cut])
			}
		}
	})
	if found < 500 {
		t.Errorf("%d responses with an error", found)
	}
}

func TestTheThrottleTimeOfEveryResponseIsWrittenWhereItStands(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	everyVersion(func(d *description, version int16) {
		payload, decoded := randomResponse(r, d.key, version)
		field, has := decoded.(kmsg.SetThrottleResponse)
		at := throttleAt(d.key, version, payload)
		if at >= 0 {
			binary.BigEndian.PutUint32(payload[at:], 4321)
		}
		if !has {
			if at >= 0 {
				t.Errorf("%s v%d has a throttle time at %d", d.name, version, at)
			}
			return
		}
		field.SetThrottle(4321)
		head := AppendResponseHeader(nil, d.key, version, 4711)
		if want := decoded.AppendTo(head); string(want) != string(payload) {
			t.Errorf("%s v%d: with a throttle time at %d\n%x, want\n%x", d.name, version, at, payload, want)
		}
	})
}

func TestAnErrorBehindTooManyElementsIsNotLookedFor(t *testing.T) {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	for range outcomeElementsMax + 1 {
		topic := kmsg.NewDeleteTopicsResponseTopic()
		topic.ErrorCode = 3
		resp.Topics = append(resp.Topics, topic)
	}
	payload := resp.AppendTo(AppendResponseHeader(nil, resp.Key(), 0, 1))
	if code := errorCode(resp.Key(), 0, payload); code != 0 {
		t.Errorf("error code %d", code)
	}
	resp.Topics = resp.Topics[1:]
	payload = resp.AppendTo(AppendResponseHeader(nil, resp.Key(), 0, 1))
	if code := errorCode(resp.Key(), 0, payload); code != 3 {
		t.Errorf("with one element fewer: error code %d", code)
	}
}

// allocations is testing.AllocsPerRun of few runs: the least of some tries, because the
// runtime allocates for itself at times, a thread above all.
func allocations(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for try := 1; least > 0 && try < 10; try++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

func TestErrorsAreFoundWithoutAllocating(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	everyVersion(func(d *description, version int16) {
		payload, _ := randomResponse(r, d.key, version)
		if n := allocations(1, func() { errorCode(d.key, version, payload) }); n != 0 {
			t.Errorf("%s v%d: %v allocations", d.name, version, n)
		}
	})
	if code := ErrorCode(nil, nil); code != 0 {
		t.Errorf("of nothing: %d", code)
	}
}

func BenchmarkErrorCodeOfAFetch(b *testing.B) {
	resp := kmsg.NewPtrFetchResponse()
	topic := kmsg.NewFetchResponseTopic()
	for range 4 {
		topic.Partitions = append(topic.Partitions, kmsg.NewFetchResponseTopicPartition())
	}
	resp.Topics = append(resp.Topics, topic)
	resp.Version = 13
	payload := resp.AppendTo(AppendResponseHeader(nil, keyFetch, 13, 1))
	for b.Loop() {
		errorCode(keyFetch, 13, payload)
	}
}
