package uring

import (
	"strings"

	"kring/engine"
)

// Setting is a key of Set, and how to try it out.
type Setting struct {
	Key     string
	Default string // as Set reads it; "" for none
	// Locked: only for engines that wait locked.
	Locked bool
	// Try are values other than the default that every machine of the right
	// kernel serves with, each a comma-separated list of settings: some
	// need another beside them.
	Try []string
}

// Settings lists every key, in the order of Config's fields.
func Settings() []Setting {
	list := make([]Setting, len(settings))
	plain := Config{}.withDefaults()
	for i, s := range settings {
		list[i] = Setting{Key: s.key, Default: format(s.field(&plain))}
		for _, t := range tries(s) {
			list[i].Try = append(list[i].Try, s.key+"="+t)
		}
		list[i].Locked = len(list[i].Try) > 0 && lockedOnly(list[i].Try)
	}
	return list
}

// worthTrying are values of settings whose type does not say them.
var worthTrying = map[string][]string{
	"entries":              {"8"},
	"cq-entries":           {"16,entries=8"},
	"buffers":              {"16"},
	"buffers-hot":          {"1"},
	"buffer-bytes":         {"512"},
	"send-bytes":           {"4096"},
	"send-buffers":         {"1"},
	"iowq-workers":         {"2"},
	"sqpoll":               {"2ms"},
	"sqpoll-cpus":          {"0,sqpoll=2ms"},
	"accept":               {AcceptSingleMode},
	"recv":                 {RecvSingleMode, RecvFixedMode},
	"zero-copy-fixed":      {"on,zero-copy-bytes=1"},
	"send":                 {SendFixedMode},
	"fixed-bytes":          {"262144,send=fixed,recv=fixed"},
	"zero-copy-bytes":      {"1", "16384"},
	"wake":                 {WakeMsgRing},
	"busy-poll":            {"20us,busy-poll-forced=on"},
	"busy-poll-free-cpus":  {"1,busy-poll=20us,busy-poll-forced=on"},
	"busy-poll-forced":     {"on,busy-poll=5us"},
	"min-wait":             {"20us"},
	"min-wait-completions": {"4,min-wait=50us"},
	"napi-busy-poll":       {"5us"},
	"cpus":                 {"0"},
}

func tries(s setting) []string {
	if values := worthTrying[s.key]; values != nil {
		return values
	}
	switch s.field(&Config{}).(type) {
	case *Switch:
		return []string{"on", "off"}
	case *bool:
		return []string{"on"}
	}
	return nil
}

// lockedOnly says whether no engine that waits parked can be tried with any.
func lockedOnly(try []string) bool {
	for _, list := range try {
		var c Config
		for s := range strings.SplitSeq(list, ",") {
			key, value, _ := strings.Cut(s, "=")
			_ = c.Set(key, value) // a test reads each of them
		}
		if c.ValidateFor(engine.WaitParked) == nil {
			return false
		}
	}
	return true
}
