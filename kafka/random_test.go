package kafka

import (
	"math/rand/v2"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomRequest is a request of key with random content; every field is set
// now and then, also those that version does not have.
func randomRequest(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	fill(r, reflect.ValueOf(req).Elem(), 0)
	req.SetVersion(version)
	return req
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == tagsType {
			fillTags(r, v.Addr().Interface().(*kmsg.Tags))
			return
		}
		for i := range v.NumField() {
			fill(r, v.Field(i), depth)
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth)
		}
	case reflect.Slice:
		n := r.IntN(4) - 1
		if n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth)
		}
	case reflect.String:
		v.SetString(string(make([]byte, r.IntN(200))))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(r.Float64())
	default:
		if v.CanUint() {
			v.SetUint(r.Uint64())
		} else {
			v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()))
		}
	}
}

func fillTags(r *rand.Rand, t *kmsg.Tags) {
	for range max(0, r.IntN(6)-3) {
		t.Set(1000+r.Uint32N(1<<30), make([]byte, r.IntN(40)))
	}
}

// everyVersion calls f for every version of every API.
func everyVersion(f func(d *description, version int16)) {
	for i := range descriptions {
		for v := int16(0); v <= descriptions[i].max; v++ {
			f(&descriptions[i], v)
		}
	}
}

// everyRequest calls f with a random request of every API and version that a client
// sends.
func everyRequest(r *rand.Rand, f func(d *description, version int16, req kmsg.Request)) {
	everyVersion(func(d *description, version int16) {
		if d.key == keyControlledShutdown && version == 0 {
			return // kmsg writes a client id there
		}
		req := randomRequest(r, d.key, version)
		if av, is := req.(*kmsg.ApiVersionsRequest); is {
			av.ClientSoftwareName, av.ClientSoftwareVersion = "kring-test", "1.0"
		}
		f(d, version, req)
	})
}
