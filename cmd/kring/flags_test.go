package main

import (
	"bytes"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/reqchan"
)

// flagsFor are arguments that change each field of kring.Config.
var flagsFor = map[string][]string{
	"Listeners": {"--listen", "OTHER://127.0.0.1:0"}, "Engine": {"--engine", "epoll"}, "Dispatch.Mode": {"--dispatch", "inline"},
	"Processors.Wait": {"--wait", "locked"}, "Processors.Gosched": {"--gosched", "on"}, "Processors.Accept": {"--accept", "per-processor"},
	"Processors.Count": {"--processors", "3"}, "Dispatch.Handlers": {"--handlers", "3"}, "Dispatch.BatchMax": {"--handler-batch", "3"},
	"Dispatch.QueuedRequestsMax": {"--queued-requests", "3"}, "Dispatch.QueuedPriorityMax": {"--queued-priority", "3"}, "Dispatch.Priority": {"--priority-api", "metadata"},
	"Memory.RequestBytesMax": {"--queued-request-bytes", "1GiB"}, "Dispatch.LatencyTarget": {"--latency-target", "3ms"}, "Dispatch.LatencyCounts": {"--latency-target", "3ms"},
	"Limits.PipelineMax": {"--pipeline", "3"}, "Processors.Rebalance": {"--rebalance", "3s"}, "Limits.FrameBytesMax": {"--max-frame-bytes", "1MB"},
	"Processors.BigFrameBytes": {"--big-frame-bytes", "8KiB"}, "Processors.PackedBytesMax": {"--pack-bytes", "1"}, "Limits.HeldBytesMax": {"--held-bytes", "8KiB"},
	"Memory.BytesMax": {"--memory-max", "4GiB"}, "Memory.HeldBytesMax": {"--held-memory", "64MiB"}, "Memory.HandlerBytes": {"--memory-log-bytes-max", "64MiB"},
	"Limits.QueuedResponseBytesMax": {"--queued-response-bytes", "8KiB"}, "Memory.ResponseBytesMax": {"--response-memory-max", "1GiB"}, "Limits.SlowReader": {"--slow-reader", "close"}, "Limits.ThrottleMax": {"--max-throttle", "3s"},
	"Conns.HandlerFiles": {"--data-dir", "data"}, "Conns.Max": {"--max-connections", "3"}, "Conns.RateMax": {"--connection-rate", "3"}, "Conns.PerIPMax": {"--max-connections-per-ip", "3"},
	"Conns.RatePerIPMax": {"--connection-rate-per-ip", "3"}, "Conns.PerIP": {"--ip-limit", "::1=3"}, "Conns.ThrottledConnsMax": {"--max-parked", "3"},
	"Conns.ProtectedListener": {"--protected-listener", "PLAINTEXT"}, "Conns.WhenFull": {"--when-full", "refuse"}, "Processors.Assignment": {"--assignment", "round-robin"},
	"Measure.SlowRequest": {"--slow-request", "3s"}, "Measure.ClientIDsMax": {"--http", "127.0.0.1:0", "--metrics-client-ids", "3"},
	"Conns.RateWindows": {"--quota-windows", "3"}, "Conns.RateWindow": {"--quota-window", "3s"}, "Conns.Backlog": {"--backlog", "3"},
	"Timeouts.Idle": {"--idle-timeout", "3s"}, "Timeouts.Write": {"--write-timeout", "3s"}, "Timeouts.Frame": {"--frame-timeout", "3s"}, "Timeouts.Proxy": {"--proxy-timeout", "3s"}, "Timeouts.Authentication": {"--auth-timeout", "3s"}, "Socket": {"--send-buffer-bytes", "64KiB"},
	"URing": {"--uring", "recv=single"}, "Epoll": {"--fallback-buffers", "3"}, "Portable": {"--fallback-buffer-bytes", "4KiB"},
}

// noFlagFor says why the other fields have none.
var noFlagFor = map[string]string{
	"Limits.FrameBytesMaxUnauthenticated": "no handler of the program authenticates: it would be --max-frame-bytes for everybody",
	"Timeouts.Drain":                      "for listeners and processors that Reconfigure takes away: the program takes none away",
	"Dispatch.APIOf":                      "handlers say it",
	"Dispatch.LongPoll":                   "it is Kafka's",
	"Dispatch.Deprecated":                 "the program shows nobody who uses what is deprecated",
	"Events":                              "the program's own log",
	// Of a listener.
	"Name":       "--listen NAME://HOST:PORT",
	"Address":    "--listen HOST:PORT",
	"Privileged": "no handler of the program asks for it",
	"Ready":      "what the program's handlers need is there before they listen",
}

// noSettingFor says why one listener has no setting of its own for what a flag sets for all.
var noSettingFor = map[string]string{
	"Listener":          "--listen systemd, and what systemd passes",
	"TLS":               "--listen SSL://, and the files of --tls-cert and its like: they make it",
	"Limits.SlowReader": "asked for by nobody yet", "Limits.ThrottleMax": "quotas are of clients, whichever way they come", "Timeouts.Frame": "asked for by nobody yet",
}

// leaves are the fields of a Config and of its groups, by path.
func leaves(at string, of reflect.Value) map[string]reflect.Value {
	all := map[string]reflect.Value{}
	for i := range of.NumField() {
		f := of.Type().Field(i)
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == "kring" && f.Name != "Events" {
			maps.Copy(all, leaves(at+f.Name+".", of.Field(i)))
			continue
		}
		all[at+f.Name] = of.Field(i)
	}
	return all
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
	without := leaves("", reflect.ValueOf(serverConfigOf(t)))
	for name, was := range without {
		args, flagged := flagsFor[name]
		if !flagged {
			if noFlagFor[name] == "" {
				t.Errorf("%s: no flag sets it, and there is no reason", name)
			}
			continue
		}
		is := leaves("", reflect.ValueOf(serverConfigOf(t, args...)))[name]
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
		"max-frame-bytes": "1MB", "held-bytes": "8KiB", "queued-response-bytes": "8KiB", "idle-timeout": "-1s", "write-timeout": "3s", "proxy-protocol": "10.0.0.0/8,::1", "proxy-timeout": "3s", "auth-timeout": "3s",
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
	own := leaves("", reflect.ValueOf(listeners[1]))
	for name, field := range own {
		if field.IsZero() && noFlagFor[name] == "" && noSettingFor[name] == "" {
			t.Errorf("%s: no setting of --listener sets it, and there is no reason", name)
		}
	}
	if s := own["Socket"]; s.Field(0).IsZero() || s.Field(1).IsZero() || s.Field(2).IsZero() || s.Field(3).IsZero() || s.Field(4).IsZero() {
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
		if cfg.Dispatch.Priority(r) != want.first || cfg.Dispatch.LatencyCounts(r) != want.counts {
			t.Errorf("%v: priority %v, measured %v", key, cfg.Dispatch.Priority(r), cfg.Dispatch.LatencyCounts(r))
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
