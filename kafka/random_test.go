package kafka

import (
	"math/rand/v2"
	"reflect"

	"kring/internal/kmsgtest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomRequest is a request of key with random content; every field is set
// now and then, also those that version does not have.
func randomRequest(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	kmsgtest.Fill(r, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return req
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
