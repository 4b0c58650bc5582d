package main

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomRequest is a request with random content.
func randomRequest(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	fill(r, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return req
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).Type() != tagsType {
				fill(r, v.Field(i))
			}
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.String:
		v.SetString(names[r.IntN(len(names))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(r.Float64())
	default:
		fillNumber(r, v)
	}
}

// names are what random requests speak of.
var names = []string{"", "random", "random-2", "no such", "consumer", "range", "retention.ms"}

// fillNumber sets a small number mostly, as real requests have.
func fillNumber(r *rand.Rand, v reflect.Value) {
	n := r.Int64N(8) - 2
	if r.IntN(8) == 0 {
		n = int64(r.Uint64()) >> (64 - v.Type().Bits())
	}
	if v.CanUint() {
		v.SetUint(uint64(n) & (1<<v.Type().Bits() - 1))
	} else {
		v.SetInt(n)
	}
}

// mutated is a request's payload with some of it changed, but never its API
// and version: another API has requests of its own.
func mutated(r *rand.Rand, payload []byte) []byte {
	const fixed = 8 // key, version, correlation id
	p := slices.Clone(payload)
	for range 1 + r.IntN(3) {
		if len(p) <= fixed {
			return p
		}
		at := fixed + r.IntN(len(p)-fixed)
		switch r.IntN(6) {
		case 0:
			p[at] ^= 1 << r.IntN(8)
		case 1:
			p[at] = byte(r.Uint32())
		case 2:
			p = p[:at]
		case 3:
			p = slices.Insert(p, at, p[at:min(len(p), at+1+r.IntN(16))]...)
		case 4:
			p = slices.Delete(p, at, min(len(p), at+1+r.IntN(4)))
		case 5:
			odd := []uint32{0, 1<<32 - 1, 1<<31 - 1, 1 << 31, 1 << 20, 0xff7fffff}[r.IntN(6)]
			for i, b := range binary.BigEndian.AppendUint32(nil, odd) {
				if at+i < len(p) {
					p[at+i] = b
				}
			}
		}
	}
	return p
}
