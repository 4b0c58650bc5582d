package uring

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"kring/engine"
	"kring/internal/fault"
)

// setting is a row of the table of settings.
type setting struct {
	key   string
	field string // of Config
	since string // the kernel that brought what it switches; "" where none had to
	says  string // what it does · when it helps · when it hurts, for users

	// def is what the zero value stands for: a number, a func(*Config) int of the rows
	// before, or nil for the zero value itself. Of a name it is the first of names.
	def      any
	shown    string   // the default in words, where its value does not say it
	names    []string // all values, of a name
	check    check    // beyond what its type and names say
	excludes func(c *Config) string
	// locked is why an engine that waits parked can't use it; "" if it can.
	locked string

	uses    []string // features that are off by default, and that the value on switches on
	on      string   // "" for the first to try
	try     []string // values worth trying that its type does not say, see Setting.Try
	compare []Comparison
}

// check adds what is wrong with a setting.
type check func(c *Config, s *setting, f *fault.List)

// of is the address of the setting's field.
func (s *setting) of(c *Config) any {
	return reflect.ValueOf(c).Elem().FieldByName(s.field).Addr().Interface()
}

// setDefault gives a zero field what it stands for.
func (s *setting) setDefault(c *Config) {
	switch f := s.of(c).(type) {
	case *int:
		if d, ok := s.def.(int); ok && *f == 0 {
			*f = d
		} else if d, ok := s.def.(func(*Config) int); ok && *f == 0 {
			*f = d(c)
		}
	case *string:
		if *f == "" {
			*f = s.names[0]
		}
	}
}

// validate adds what is wrong with the setting of a Config with its defaults.
func (s *setting) validate(c *Config, f *fault.List) {
	switch v := s.of(c).(type) {
	case *Switch:
		f.Add(*v > Off, s.field, "is %d: give Auto, On or Off", uint8(*v))
	case *string:
		f.Add(!slices.Contains(s.names, *v), s.field, "is %q: give %s", *v, oneOf(s.names))
	case *[]int:
		for _, cpu := range *v {
			f.Add(cpu < 0 || cpu > 1023, s.field, "has %d: give numbers from 0 to 1023", cpu)
		}
	}
	if s.check != nil {
		s.check(c, s, f)
	}
	if s.excludes != nil {
		why := s.excludes(c)
		f.Add(why != "", s.field, "%s", why)
	}
}

// oneOf is "a", "b" or "c".
func oneOf(names []string) string {
	last := len(names) - 1
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// asked says in words that the setting is on; "" if it is not.
func (s *setting) asked(c *Config) string {
	switch f := s.of(c).(type) {
	case *Switch:
		return sayIf(*f == On, "is On")
	case *bool:
		return sayIf(*f, "is set")
	case *time.Duration:
		return sayIf(*f > 0, "is set")
	case *[]int:
		return sayIf(len(*f) > 0, "are set")
	case *string:
		return sayIf(*f != s.names[0], "is "+strconv.Quote(*f))
	}
	return ""
}

// ValidateFor reports what an engine that waits like this can't use. Such an
// engine does without; a program should refuse.
func (c Config) ValidateFor(w engine.Wait) error {
	var f fault.List
	c = c.withDefaults()
	for i := range settings {
		s := &settings[i]
		if is := s.asked(&c); is != "" && s.locked != "" && w != engine.WaitLocked {
			f.Add(true, s.field, "%s for engines that wait parked: %s; wait locked, or leave it out", is, s.locked)
		}
	}
	return f.Err(configPrefix)
}

// Comparison is what is worth measuring of a setting: a technique with it and without.
type Comparison struct {
	Technique string // what it is called
	Switch    string // what is done to it
	Values    string // of the setting, and others behind commas as in Setting.Try
	Dispatch  string // the only one that it means something with; "" for both
}

// Setting is a key of Set, and how to try it out.
type Setting struct {
	Key     string
	Field   string // of Config
	Default string // as Set reads it; "" for none
	Since   string // the kernel that it needs; "" for none
	Says    string // what it does · when it helps · when it hurts
	// Locked: only for engines that wait locked.
	Locked bool
	// Try are values other than the default that every machine of the right
	// kernel serves with, each a comma-separated list of settings: some
	// need another beside them.
	Try     []string
	Compare []Comparison
}

// Settings lists every key, in the order of Config's fields.
func Settings() []Setting {
	list := make([]Setting, len(settings))
	plain := Config{}.withDefaults()
	for i := range settings {
		s := &settings[i]
		list[i] = Setting{Key: s.key, Field: s.field, Default: format(s.of(&plain)), Since: s.since, Says: s.says, Compare: s.compare}
		for _, t := range s.tries() {
			list[i].Try = append(list[i].Try, s.key+"="+t)
		}
		list[i].Locked = len(list[i].Try) > 0 && lockedOnly(list[i].Try)
	}
	return list
}

func (s *setting) tries() []string {
	switch s.of(&Config{}).(type) {
	case *Switch:
		return []string{"on", "off"}
	case *bool:
		if s.try == nil {
			return []string{"on"}
		}
	case *string:
		return s.names[1:]
	}
	return s.try
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

// switchesOn are the settings that make the engines use a feature which is off by
// default, each a list for Set.
func switchesOn(feature string) (all []string) {
	for i := range settings {
		if s := &settings[i]; slices.Contains(s.uses, feature) {
			on := s.on
			if on == "" {
				on = s.tries()[0]
			}
			all = append(all, s.key+"="+on)
		}
	}
	return all
}

// SettingOf is the key of Set for each field of Config that has one, by the field's
// name: a program whose users know keys can put them into the errors of Validate
// and New.
func SettingOf() map[string]string {
	keys := map[string]string{}
	for _, s := range settings {
		keys[s.field] = s.key
	}
	return keys
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
		if err := parse(s.of(c), value); err != nil {
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
		if v := format(s.of(&c)); v != format(s.of(&plain)) {
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
