package main

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/embedded"
	"kring/kafka"
	"kring/quota"
	"kring/uring"
)

// bad are wrong values of a field, by its kind.
func bad(field reflect.Value) (values []reflect.Value) {
	of := func(all ...any) (values []reflect.Value) {
		for _, v := range all {
			values = append(values, reflect.ValueOf(v).Convert(field.Type()))
		}
		return values
	}
	switch field.Interface().(type) {
	case time.Duration:
		return of(time.Duration(-7), time.Duration(1), time.Duration(math.MaxInt64))
	case fs.FileMode:
		return of(fs.ModeDir | 0o7777)
	case uring.Switch:
		return of(9)
	case []int:
		return of([]int{-1, 5000})
	}
	switch field.Kind() {
	case reflect.Int, reflect.Int64:
		return of(-7, 1, 3, 1<<31-1, math.MaxInt64)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return of(7)
	case reflect.Float64:
		return of(-7.5, math.NaN())
	case reflect.String:
		return of("bogus value")
	case reflect.Bool:
		return of(true)
	}
	return nil
}

// everyFault sets each field below at to each of its wrong values, one at a time,
// and gives what validate says of each.
func everyFault(t *testing.T, at reflect.Value, validate func() error) (faults []string) {
	t.Helper()
	for i := range at.NumField() {
		field := at.Field(i)
		if !at.Type().Field(i).IsExported() {
			continue
		}
		switch field.Kind() {
		case reflect.Struct:
			faults = append(faults, everyFault(t, field, validate)...)
			continue
		case reflect.Slice:
			if field.Len() > 0 && field.Index(0).Kind() == reflect.Struct {
				faults = append(faults, everyFault(t, field.Index(0), validate)...)
			}
		}
		was := reflect.New(field.Type()).Elem()
		was.Set(field)
		for _, v := range bad(field) {
			field.Set(v)
			if err := validate(); err != nil {
				faults = append(faults, err.Error())
			}
		}
		field.Set(was)
	}
	return faults
}

// fieldNames are the names of all fields below a type that nobody could take for a
// word: of several words, or abbreviations.
func fieldNames(names map[string]bool, of ...reflect.Type) {
	for _, typ := range of {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if regexp.MustCompile(`^[A-Z]\w*[a-z][A-Z]\w*$`).MatchString(f.Name) {
				names[f.Name] = true
			}
			if f.Type.Kind() == reflect.Struct && f.IsExported() {
				fieldNames(names, f.Type)
			}
		}
	}
}

// TestErrorsNameFlagsAndNoFields: whatever any Config that flags reach says is wrong
// with any of its fields.
func TestErrorsNameFlagsAndNoFields(t *testing.T) {
	names := map[string]bool{}
	fieldNames(names, reflect.TypeFor[kring.Config](), reflect.TypeFor[kring.ListenerConfig](), reflect.TypeFor[kring.AddressLimit](),
		reflect.TypeFor[embedded.Config](), reflect.TypeFor[kafka.NullConfig](), reflect.TypeFor[quota.Config]())
	delete(names, "FrameBytesMaxUnauthenticated") // noFlagFor says why
	delete(names, "SubjectsMax")                  // of quota.Config: no flag sets it
	delete(names, "ReceivesMax")                  // of epoll.Config, the same
	delete(names, "AcceptsMax")                   // of portable.Config
	delete(names, "TopicsMax")                    // of kafka.NullConfig
	delete(names, "FetchWaitMax")
	delete(names, "BatchBytesMax") // of embedded.Config
	delete(names, "DiskReserveBytes")
	delete(names, "InUseWait") // what takes the cluster back sets it
	var faults []string
	for _, engine := range []kring.Engine{kring.EngineAuto, kring.EngineEpoll, kring.EnginePortable} {
		server := kring.Config{Engine: engine, Listeners: []kring.ListenerConfig{{Name: "A", Address: "127.0.0.1:0"}},
			Conns: kring.ConnsConfig{PerIP: []kring.AddressLimit{{Source: "::1", ConnsMax: 1}}}}
		faults = append(faults, everyFault(t, reflect.ValueOf(&server).Elem(), func() error { return server.Validate() })...)
	}
	cluster := embedded.Config{DataDir: t.TempDir(), Seed: []embedded.Topic{{Name: "a", Partitions: 1}}}
	faults = append(faults, everyFault(t, reflect.ValueOf(&cluster).Elem(), func() error { return cluster.Validate() })...)
	null := kafka.NullConfig{}
	faults = append(faults, everyFault(t, reflect.ValueOf(&null).Elem(), func() error { return null.Validate() })...)
	quotas := quota.Config{}
	faults = append(faults, everyFault(t, reflect.ValueOf(&quotas).Elem(), func() error { return quotas.Validate() })...)
	if len(faults) < 100 {
		t.Fatalf("only %d faults: wrong values are not refused", len(faults))
	}
	word, path := regexp.MustCompile(`\b[A-Z]\w+`), regexp.MustCompile(`\b[A-Z]\w+\.[A-Z]\w+`)
	for _, fault := range faults {
		for line := range strings.SplitSeq(inFlags(errors.New(fault)).Error(), "\n") {
			if p := path.FindString(line); flagsFor[p] != nil {
				t.Errorf("%q names the field %s; it was %q", line, p, fault)
			}
			for _, w := range word.FindAllString(line, -1) {
				if names[w] {
					t.Errorf("%q names the field %s; it was %q", line, w, fault)
				}
			}
		}
	}
}

// TestAWrongCPUIsAWrongSettingAndNoReasonForAnotherEngine: it was served on epoll,
// unpinned, without a word.
func TestAWrongCPUIsAWrongSettingAndNoReasonForAnotherEngine(t *testing.T) {
	if enginesHere()[0] != "io_uring" {
		return // another system
	}
	for _, c := range []struct {
		settings []string
		says     string
	}{
		{[]string{"cpus=0-1023"}, "--uring cpus has "},
		{[]string{"cpus=1023"}, "--uring cpus has 1023, which can't be had"},
		{[]string{"sqpoll=2ms", "sqpoll-cpus=1023"}, "--uring sqpoll-cpus has 1023"},
	} {
		for _, engine := range []string{"auto", "io_uring"} {
			args := []string{"serve", "--listen", "127.0.0.1:0", "--engine", engine, "--dispatch", "inline", "--handler", "null"}
			for _, s := range c.settings {
				args = append(args, "--uring", s)
			}
			var stdout, stderr bytes.Buffer
			status := run(args, nil, &stdout, &stderr, nil)
			if status != exitUsage || !strings.Contains(stderr.String(), c.says) || stdout.Len() > 0 {
				t.Errorf("%q on %s: exit status %d, want 2, saying %q:\n%s%s", c.settings, engine, status, c.says, stdout.String(), stderr.String())
			}
		}
	}
}

// TestEveryFieldOfURingIsAKeyInErrors.
func TestEveryFieldOfURingIsAKeyInErrors(t *testing.T) {
	fields := reflect.TypeFor[uring.Config]()
	for i := range fields.NumField() {
		if name := fields.Field(i).Name; fields.Field(i).IsExported() && settingOf[name] == "" && name != "KernelProfile" {
			t.Errorf("%s has no key", name)
		}
	}
}

// TestAdviceAtRunTimeNamesFlags.
func TestAdviceAtRunTimeNamesFlags(t *testing.T) {
	for says, want := range map[string]string{
		"no memory: make Config.Entries and Config.CQEntries smaller":       "no memory: make --uring entries and --uring cq-entries smaller",
		"accept: too many open files (raise RLIMIT_NOFILE, lower ConnsMax)": "accept: too many open files (raise RLIMIT_NOFILE, lower --max-connections)",
		"io_uring: Config.Bundles is true, and this kernel lacks it":        "io_uring: --uring bundles is true, and this kernel lacks it",
	} {
		if got := inAdvice(says); got != want {
			t.Errorf("%q became %q, want %q", says, got, want)
		}
	}
}
