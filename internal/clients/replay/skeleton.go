package replay

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// skeleton says of a request which fields are null, empty or set, whatever they
// are set to. An array is the kinds of element that it has.
func skeleton(req kmsg.Request) string {
	var b strings.Builder
	write(&b, reflect.ValueOf(req).Elem())
	return b.String()
}

func write(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		b.WriteByte('{')
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != "Version" {
				write(b, v.Field(i))
			}
		}
		b.WriteByte('}')
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteByte('~')
			return
		}
		write(b, v.Elem())
	case reflect.Slice:
		writeSlice(b, v)
	default:
		if v.IsZero() {
			b.WriteByte('0')
		} else {
			b.WriteByte('x')
		}
	}
}

func writeSlice(b *strings.Builder, v reflect.Value) {
	if v.IsNil() {
		b.WriteByte('~')
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		fmt.Fprintf(b, "b%d", min(v.Len(), 1))
		return
	}
	var kinds []string
	for i := range v.Len() {
		var one strings.Builder
		write(&one, v.Index(i))
		kinds = append(kinds, one.String())
	}
	slices.Sort(kinds)
	b.WriteString("[" + strings.Join(slices.Compact(kinds), "|") + "]")
}
