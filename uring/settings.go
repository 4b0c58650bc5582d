package uring

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// setting is a field of Config under the name that a command line gives it.
type setting struct {
	key   string
	field func(*Config) any // the field's address
}

// settings are in the order of Config's fields, whose comments say what each
// does, since when, and what for.
var settings = []setting{
	{"entries", func(c *Config) any { return &c.Entries }},
	{"cq-entries", func(c *Config) any { return &c.CQEntries }},
	{"buffers", func(c *Config) any { return &c.Buffers }},
	{"buffers-hot", func(c *Config) any { return &c.BuffersHot }},
	{"buffer-bytes", func(c *Config) any { return &c.BufferBytes }},
	{"send-bytes", func(c *Config) any { return &c.SendBytesMax }},
	{"send-buffers", func(c *Config) any { return &c.SendBuffersMax }},
	{"submit-all", func(c *Config) any { return &c.SubmitAll }},
	{"coop-taskrun", func(c *Config) any { return &c.CoopTaskrun }},
	{"taskrun-flag", func(c *Config) any { return &c.TaskrunFlag }},
	{"single-issuer", func(c *Config) any { return &c.SingleIssuer }},
	{"defer-taskrun", func(c *Config) any { return &c.DeferTaskrun }},
	{"no-sqarray", func(c *Config) any { return &c.NoSQArray }},
	{"no-iowait", func(c *Config) any { return &c.NoIOWait }},
	{"clamp", func(c *Config) any { return &c.Clamp }},
	{"sqpoll", func(c *Config) any { return &c.SQPoll }},
	{"sqpoll-cpus", func(c *Config) any { return &c.SQPollCPUs }},
	{"registered-ring", func(c *Config) any { return &c.RegisteredRing }},
	{"restrict", func(c *Config) any { return &c.Restrict }},
	{"iowq-workers", func(c *Config) any { return &c.IOWQWorkersMax }},
	{"accept", func(c *Config) any { return &c.Accept }},
	{"direct-fds", func(c *Config) any { return &c.DirectFDs }},
	{"recv", func(c *Config) any { return &c.Recv }},
	{"bundles", func(c *Config) any { return &c.Bundles }},
	{"incremental", func(c *Config) any { return &c.Incremental }},
	{"poll-first", func(c *Config) any { return &c.PollFirst }},
	{"zero-copy-bytes", func(c *Config) any { return &c.ZeroCopyBytes }},
	{"zero-copy-fixed", func(c *Config) any { return &c.ZeroCopyFixed }},
	{"send", func(c *Config) any { return &c.Send }},
	{"fixed-bytes", func(c *Config) any { return &c.FixedBytes }},
	{"wake", func(c *Config) any { return &c.Wake }},
	{"quiet-wait", func(c *Config) any { return &c.QuietWait }},
	{"busy-poll", func(c *Config) any { return &c.BusyPoll }},
	{"busy-poll-free-cpus", func(c *Config) any { return &c.BusyPollFreeCPUs }},
	{"busy-poll-forced", func(c *Config) any { return &c.BusyPollForced }},
	{"min-wait", func(c *Config) any { return &c.MinWait }},
	{"min-wait-completions", func(c *Config) any { return &c.MinWaitCompletions }},
	{"napi-busy-poll", func(c *Config) any { return &c.NAPIBusyPoll }},
	{"cpus", func(c *Config) any { return &c.CPUs }},
}

// SettingKeys are the keys of Set.
func SettingKeys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}

// Set sets the field that key names from text: a number, a time such as 20us,
// auto, on or off, a name, or CPUs such as 0-2+5. Validate judges the value.
func (c *Config) Set(key, value string) error {
	for _, s := range settings {
		if s.key != key {
			continue
		}
		if err := parse(s.field(c), value); err != nil {
			return fmt.Errorf("uring: setting %s=%s: %w", key, value, err)
		}
		return nil
	}
	return fmt.Errorf("uring: there is no setting %q: choose one of %s", key, strings.Join(SettingKeys(), ", "))
}

// Changed are the settings that differ from their defaults, as key=value.
func (c Config) Changed() []string {
	var changed []string
	plain := Config{}
	if c.buffersPlanned {
		plain.Buffers = c.Buffers
	}
	c, plain = c.withDefaults(), plain.withDefaults()
	for _, s := range settings {
		if v := format(s.field(&c)); v != format(s.field(&plain)) {
			changed = append(changed, s.key+"="+v)
		}
	}
	return changed
}

func parse(field any, text string) (err error) {
	switch f := field.(type) {
	case *int:
		if *f, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("give a whole number")
		}
	case *bool:
		switch text {
		case "on", "off":
			*f = text == "on"
		default:
			return fmt.Errorf("give on or off")
		}
	case *Switch:
		for i, name := range switchNames {
			if name == text {
				*f = Switch(i)
				return nil
			}
		}
		return fmt.Errorf("give auto, on or off")
	case *time.Duration:
		if *f, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("give a time, such as 20us")
		}
	case *string:
		*f = text
	case *[]int:
		*f, err = parseCPUs(text)
	}
	return err
}

// parseCPUs reads numbers and ranges joined by plus signs: a comma would end
// the setting in a list of them.
func parseCPUs(text string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(text, "+") {
		low, high, ranged := strings.Cut(part, "-")
		first, err := strconv.ParseUint(low, 10, 16)
		last := first
		if err == nil && ranged {
			last, err = strconv.ParseUint(high, 10, 16)
		}
		if err != nil || last < first {
			return nil, fmt.Errorf("give CPU numbers and ranges, such as 0-2+5")
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}

func format(field any) string {
	switch f := field.(type) {
	case *int:
		return strconv.Itoa(*f)
	case *bool:
		if *f {
			return "on"
		}
		return "off"
	case *Switch:
		return f.String()
	case *time.Duration:
		return f.String()
	case *string:
		return *f
	case *[]int:
		var cpus []string
		for _, cpu := range *f {
			cpus = append(cpus, strconv.Itoa(cpu))
		}
		return strings.Join(cpus, "+")
	}
	return ""
}
