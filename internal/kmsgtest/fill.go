// Package kmsgtest fills the messages of kmsg, at random or once each, for tests.
//
// Job: every field is set now and then, also those that a version does not have.
//
// Flow: a test makes a message of kmsg and calls Fill or FillOnce with it, by reflection.
//
// Ownership: it keeps nothing.
//
// Never: draw from anything but the generator of the test: a seed gives the same message.
//
// Kernel: none.
package kmsgtest

import (
	"math/rand/v2"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fill sets v, which is part of a message and can be set, to random content of r.
func Fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[kmsg.Tags]() {
			fillTags(r, v.Addr().Interface().(*kmsg.Tags))
			return
		}
		for i := range v.NumField() {
			Fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			Fill(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(4) - 1
		if n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range n {
			Fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			Fill(r, v.Index(i))
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
