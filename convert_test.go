package kring

import (
	"crypto/tls"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"kring/acceptor"
)

// filled sets every field of a value to something that is not zero.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("called") }))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(7)
	}
}

// zeros names the fields that are zero, those of structs in it by themselves.
func zeros(at string, v reflect.Value) (names []string) {
	for i := range v.NumField() {
		f, name := v.Field(i), at+v.Type().Field(i).Name
		switch {
		case f.Kind() == reflect.Struct && f.NumField() > 0 && v.Type().Field(i).IsExported():
			names = append(names, zeros(name+".", f)...)
		case f.IsZero():
			names = append(names, name)
		}
	}
	return names
}

// What the parts of a Server go by is made of its Config by hand. A field that a part has
// more is found here if nothing fills it.
func TestNoFieldOfAPartIsForgotten(t *testing.T) {
	cfg := Config{}
	filled(reflect.ValueOf(&cfg.Dispatch).Elem())
	filled(reflect.ValueOf(&cfg.Conns).Elem())
	l := &ListenerConfig{}
	filled(reflect.ValueOf(&l.Limits).Elem())
	filled(reflect.ValueOf(&l.Timeouts).Elem())
	filled(reflect.ValueOf(&l.Socket).Elem())
	l.Name, l.Priority, l.ProxyProtocol, l.Backlog = "A", true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, 7
	l.Limits.SlowReader = SlowReaderThrottle
	l.TLS = &TLSConfig{Config: func() *tls.Config { return nil }, HandshakeTimeout: time.Second}
	cfg.Listeners = []ListenerConfig{*l}
	cfg.Conns.ProtectedListener, cfg.Conns.WhenFull, cfg.Conns.PerIP[0].Source = "A", WhenFullRefuse, "10.1.1.1"
	cfg.Measure.SlowRequest = time.Second
	cfg.Processors.BigFrameBytes, cfg.Processors.PackedBytesMax = 7, 7

	s, err := New(Config{Listeners: []ListenerConfig{{Address: "127.0.0.1:0"}}, Measure: MeasureConfig{ClientIDsMax: 7},
		Events: Events{HandlerPanicked: func(Request, any, []byte) {}, SlowRequest: func(SlowRequest) {}}},
		HandlerFunc(func(Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dispatch.Mode, cfg.Processors.Wait, cfg.Processors.Assignment = DispatchInline, WaitLocked, AssignLeastConns
	s.events.AcceptFailed = func(string, error, time.Duration) {}
	s.change(func(next *state) { next.cfg = cfg })
	limits, err := cfg.limits()
	if err != nil {
		t.Fatal(err)
	}
	of := &listener{quota: &acceptor.ListenerQuota{}}
	of.cfg.Store(l)
	for part, is := range map[string]struct {
		value any
		empty []string // what nobody has to fill
	}{
		"processor.Config":   {s.processorConfig(7), []string{"ConnConfig.OneByOne"}}, // the processor itself does
		"processor.Settings": {of.settings(l, &cfg), nil},
		"acceptor.Limits":    {limits, nil},
	} {
		got := zeros("", reflect.ValueOf(is.value))
		slices.Sort(got)
		if !slices.Equal(got, is.empty) {
			t.Errorf("%s: not filled are %q, want %q", part, got, is.empty)
		}
	}
}
