package kmsgtest

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FillOnce puts one element into every slice of a request that v is part of, and something into
// every name.
func FillOnce(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case v.Type().Field(i).Name == "UnknownTags" || v.Type().Field(i).Name == "Version" || f.Type() == reflect.TypeFor[kmsg.Tags]():
		case f.Kind() == reflect.String:
			f.SetString("asked")
		case f.Type() == reflect.TypeFor[*string]():
			f.Set(reflect.ValueOf(kmsg.StringPtr("asked")))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8:
			e := reflect.New(f.Type().Elem()).Elem()
			switch e.Kind() {
			case reflect.Struct:
				FillOnce(e)
			case reflect.String:
				e.SetString("asked")
			}
			f.Set(reflect.Append(f, e))
		}
	}
}
