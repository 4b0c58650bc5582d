package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/reqchan"
)

// flagsFor are arguments that change each field of kring.Config.
var flagsFor = map[string][]string{
	"Listeners": {"--listen", "OTHER://127.0.0.1:0"}, "Engine": {"--engine", "epoll"}, "Dispatch": {"--dispatch", "inline"},
	"Wait": {"--wait", "locked"}, "Gosched": {"--gosched", "on"}, "Accept": {"--accept", "per-processor"},
	"Processors": {"--processors", "3"}, "Handlers": {"--handlers", "3"}, "HandlerBatchMax": {"--handler-batch", "3"},
	"QueuedRequestsMax": {"--queued-requests", "3"}, "QueuedPriorityMax": {"--queued-priority", "3"}, "Priority": {"--priority-api", "metadata"},
	"QueuedRequestBytesMax": {"--queued-request-bytes", "1GiB"}, "LatencyTarget": {"--latency-target", "3ms"}, "LatencyCounts": {"--latency-target", "3ms"},
	"PipelineMax": {"--pipeline", "3"}, "Rebalance": {"--rebalance", "3s"}, "FrameBytesMax": {"--max-frame-bytes", "1MB"},
	"BigFrameBytes": {"--big-frame-bytes", "8KiB"}, "PackedBytesMax": {"--pack-bytes", "1"}, "HeldBytesMax": {"--held-bytes", "8KiB"},
	"MemoryMax": {"--memory-max", "4GiB"}, "HeldMemoryMax": {"--held-memory", "64MiB"}, "HandlerMemory": {"--memory-log-bytes-max", "64MiB"},
	"QueuedResponseBytesMax": {"--queued-response-bytes", "8KiB"}, "ResponseMemoryMax": {"--response-memory-max", "1GiB"}, "SlowReader": {"--slow-reader", "close"}, "ThrottleMax": {"--max-throttle", "3s"},
	"HandlerFiles": {"--data-dir", "data"}, "ConnsMax": {"--max-connections", "3"}, "ConnRateMax": {"--connection-rate", "3"}, "ConnsPerIPMax": {"--max-connections-per-ip", "3"},
	"ConnRatePerIPMax": {"--connection-rate-per-ip", "3"}, "PerIP": {"--ip-limit", "::1=3"}, "ParkedMax": {"--max-parked", "3"},
	"ProtectedListener": {"--protected-listener", "PLAINTEXT"}, "WhenFull": {"--when-full", "refuse"}, "Assignment": {"--assignment", "round-robin"},
	"QuotaWindows": {"--quota-windows", "3"}, "QuotaWindow": {"--quota-window", "3s"}, "Backlog": {"--backlog", "3"},
	"IdleTimeout": {"--idle-timeout", "3s"}, "WriteTimeout": {"--write-timeout", "3s"}, "FrameTimeout": {"--frame-timeout", "3s"}, "Socket": {"--send-buffer-bytes", "64KiB"},
	"URing": {"--uring", "recv=single"}, "Epoll": {"--fallback-buffers", "3"}, "Portable": {"--fallback-buffer-bytes", "4KiB"},
}

// noFlagFor says why the other fields have none.
var noFlagFor = map[string]string{
	"FrameBytesMaxUnauthenticated": "no handler of the program authenticates: it would be --max-frame-bytes for everybody",
	"DrainTimeout":                 "for listeners and processors that Reconfigure takes away: the program takes none away",
	"APIOf":                        "handlers say it",
	"Deprecated":                   "the program shows nobody who uses what is deprecated",
	"Events":                       "the program's own log",
	// Of a listener.
	"Name":       "--listen NAME://HOST:PORT",
	"Address":    "--listen HOST:PORT",
	"Privileged": "no handler of the program asks for it",
	"Ready":      "what the program's handlers need is there before they listen",
}

// serverConfigOf is what the command line says; the test ends if it is refused.
func serverConfigOf(t *testing.T, args ...string) kring.Config {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command, _ := parse(append([]string{"serve"}, args...), settingsOf(nil), &stdout, &stderr)
	if command == nil {
		t.Fatalf("%q: %s", args, stderr.String())
	}
	c := command.Selected().Target.Addr().Interface().(*serveCmd)
	cfg := c.serverConfig()
	if err := cfg.Validate(); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return cfg
}

// TestEverySettingOfTheLibraryIsAFlagOrSaysWhyNot, and a fault of it names the
// flag.
func TestEverySettingOfTheLibraryIsAFlagOrSaysWhyNot(t *testing.T) {
	without := reflect.ValueOf(serverConfigOf(t))
	for i := range without.NumField() {
		name := without.Type().Field(i).Name
		args, flagged := flagsFor[name]
		if !flagged {
			if noFlagFor[name] == "" {
				t.Errorf("%s: no flag sets it, and there is no reason", name)
			}
			continue
		}
		is, was := reflect.ValueOf(serverConfigOf(t, args...)).Field(i), without.Field(i)
		if is.Kind() == reflect.Func && is.IsNil() || is.Kind() != reflect.Func && reflect.DeepEqual(is.Interface(), was.Interface()) {
			t.Errorf("%s: %q leaves it as it was", name, args)
		}
		if flagOf[name] == "" {
			t.Errorf("%s: a fault of it names no flag", name)
		}
	}
	for field, flag := range flagOfField {
		var stderr bytes.Buffer // it lacks its value, or is not there
		parse([]string{"serve", "--" + flag}, settingsOf(nil), new(bytes.Buffer), &stderr)
		if strings.Contains(stderr.String(), "unknown flag") {
			t.Errorf("%s: there is no --%s", field, flag)
		}
	}
}

// TestEverySettingOfAListenerCanBeItsOwn, by the names of the flags for all.
func TestEverySettingOfAListenerCanBeItsOwn(t *testing.T) {
	values := map[string]string{
		"priority": "on", "socket-mode": "0600", "max-connections": "3", "connection-rate": "3.5", "backlog": "3", "send-buffer-bytes": "64KiB",
		"receive-buffer-bytes": "64KiB", "keep-alive": "3s", "keep-alive-interval": "3s", "keep-alive-probes": "3", "pipeline": "3",
		"max-frame-bytes": "1MB", "held-bytes": "8KiB", "queued-response-bytes": "8KiB", "idle-timeout": "-1s", "write-timeout": "3s",
	}
	args := []string{"--listen", "127.0.0.1:0", "--listen", "OWN://unix:/run/own.sock", "--advertise", "localhost:9092"}
	for setting := range listenerSettings {
		args = append(args, "--listener", "OWN."+setting+"="+values[setting])
	}
	listeners := serverConfigOf(t, args...).Listeners
	if len(listeners) != 2 || listeners[0].Name != "PLAINTEXT" || listeners[1].Name != "OWN" || listeners[1].Address != "unix:/run/own.sock" {
		t.Fatalf("listeners %+v", listeners)
	}
	if plain := (kring.ListenerConfig{Name: "PLAINTEXT", Address: "127.0.0.1:0"}); !reflect.DeepEqual(listeners[0], plain) {
		t.Errorf("the other listener has %+v", listeners[0])
	}
	own := reflect.ValueOf(listeners[1])
	for i := range own.NumField() {
		if name := own.Type().Field(i).Name; own.Field(i).IsZero() && noFlagFor[name] == "" {
			t.Errorf("%s: no setting of --listener sets it, and there is no reason", name)
		}
	}
	if s := own.FieldByName("Socket"); s.Field(0).IsZero() || s.Field(1).IsZero() || s.Field(2).IsZero() || s.Field(3).IsZero() || s.Field(4).IsZero() {
		t.Errorf("socket options %+v", s.Interface())
	}
}

func TestPriorityAndLatencyGoByTheAPI(t *testing.T) {
	cfg := serverConfigOf(t, "--priority-api", "Metadata,heartbeat", "--latency-target", "1ms")
	for key, want := range map[kmsg.Key]struct{ first, counts bool }{
		kmsg.Metadata: {true, true}, kmsg.Heartbeat: {true, true}, kmsg.Produce: {false, true}, kmsg.Fetch: {false, false},
	} {
		job := reqchan.NewJob(nil, nil)
		job.API = int16(key)
		r := job.Request()
		if cfg.Priority(r) != want.first || cfg.LatencyCounts(r) != want.counts {
			t.Errorf("%v: priority %v, measured %v", key, cfg.Priority(r), cfg.LatencyCounts(r))
		}
	}
}

func TestSizesAreReadWithTheirUnits(t *testing.T) {
	for text, want := range map[string]size{"0": 0, "4096": 4096, "4KiB": 4096, "100MB": 100e6, "1GiB": 1 << 30, "7B": 7} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "x", "1.5KiB", "9999999999GiB", "KiB"} {
		if err := new(size).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "64KiB") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWrongSettingsNameTheFlagTheValueAndTheRemedy(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  string
		says []string
	}{
		{[]string{"--listen", "://127.0.0.1:0"}, "", []string{`--listen "://127.0.0.1:0"`, "letters"}},
		{[]string{"--listen", "A://127.0.0.1:0", "--listen", "A://127.0.0.1:0"}, "", []string{"--listen: the name A", "a name of its own"}},
		{[]string{"--listener", "PLAINTEXT"}, "", []string{"NAME.SETTING=VALUE"}},
		{[]string{"--listener", "PLAINTEXT.speed=3"}, "", []string{`no setting "speed"`, "max-connections"}},
		{[]string{"--listener", "PLAINTEXT.priority=yes"}, "", []string{"neither on nor off"}},
		{[]string{"--listener", "PLAINTEXT.idle-timeout=3"}, "", []string{"no duration"}},
		{[]string{"--listener", "PLAINTEXT.backlog=many"}, "", []string{"no whole number"}},
		{[]string{"--listener", "PLAINTEXT.connection-rate=many"}, "", []string{"no number"}},
		{[]string{"--listener", "BROKERS.backlog=3"}, "", []string{"--listener BROKERS.backlog", "PLAINTEXT"}},
		{[]string{"--listener", "PLAINTEXT.pipeline=-1"}, "", []string{"--listener PLAINTEXT.pipeline is -1"}},
		{[]string{"--queued-request-bytes", "1MiB"}, "", []string{"--queued-request-bytes is 1048576", "choose at least"}},
		{nil, "KRING_HELD_BYTES=1", []string{"--held-bytes is 1: choose", "set by KRING_HELD_BYTES"}},
		{[]string{"--pack-bytes", "1MiB"}, "", []string{"--pack-bytes is 1048576"}},
		{[]string{"--max-frame-bytes", "big"}, "", []string{"--max-frame-bytes", "64KiB"}},
		{[]string{"--slow-reader", "shout"}, "", []string{"--slow-reader must be one of"}},
		{[]string{"--idle-timeout", "0s"}, "", []string{"--idle-timeout 0s", "-1s for ever"}},
		{[]string{"--max-throttle", "1us"}, "", []string{"--max-throttle 1µs", "1ms or more"}},
		{[]string{"--quota-window", "1ns"}, "", []string{"--quota-window is 1ns"}},
		{[]string{"--keep-alive-probes=-1"}, "", []string{"--keep-alive-probes is -1"}},
		{[]string{"--priority-api", "Yell"}, "", []string{"--priority-api Yell", "Metadata"}},
		{[]string{"--priority-api", "Fetch", "--handler", "echo"}, "", []string{"--priority-api", "leave one of the two out"}},
		{[]string{"--latency-target=-1s"}, "", []string{"--latency-target is -1s"}},
		{[]string{"--rebalance=-1s"}, "", []string{"--rebalance is -1s"}},
	} {
		args := append([]string{"serve"}, c.args...)
		var stdout, stderr bytes.Buffer
		status := run(args, []string{c.env, "KRING_LISTEN=127.0.0.1:0"}, &stdout, &stderr, nil)
		for _, says := range c.says {
			if status != exitUsage || !strings.Contains(stderr.String(), says) {
				t.Errorf("%q %s: exit status %d, want 2, saying %q:\n%s", c.args, c.env, status, says, stderr.String())
			}
		}
	}
}
