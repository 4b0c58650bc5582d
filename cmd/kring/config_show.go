package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"kring"
)

// configShowCmd is `kring config show`.
type configShowCmd struct {
	Serve  serveCmd `embed:""`
	Format string   `group:"process" enum:"text, json" default:"text" help:"Form of the output: ${enum}. Default: ${default}."`
}

// Help is the text above the flags.
func (configShowCmd) Help() string {
	return `Takes the flags of kring serve, the environment and the file of --config, and shows what they come to: for every setting its value, unit, source (flag, the environment's variable, the file's line, or default) and default. What is not set has the value that kring would choose on this machine. Secrets are hidden. Serves nothing.

Examples:

    kring config show --config server.properties
    kring config show --config server.properties --max-connections 100 --format json`
}

// Validate checks the flags together; kong calls it.
func (c *configShowCmd) Validate() error { return c.Serve.Validate() }

// shown is a setting in effect.
type shown struct {
	Name       string   `json:"name"`
	Properties []string `json:"properties,omitempty"` // names in a configuration file
	Value      string   `json:"value"`
	Unit       string   `json:"unit,omitempty"`
	Source     string   `json:"source"` // flag, environment, file or default
	Where      string   `json:"where,omitempty"`
	Default    string   `json:"default,omitempty"`
}

type shownListener struct {
	Name     string  `json:"name"`
	Address  string  `json:"address"`
	Security string  `json:"security"`
	Settings []shown `json:"settings,omitempty"`
}

type shownConfig struct {
	File      string          `json:"file,omitempty"`
	Settings  []shown         `json:"settings"`
	Listeners []shownListener `json:"listeners"`
	Ignored   []string        `json:"ignored,omitempty"`
	Warnings  []string        `json:"warnings,omitempty"`
}

// Run writes the settings.
func (c *configShowCmd) Run(p process) error {
	if faults := c.Serve.faults(); len(faults) > 0 {
		return usageError{errors.Join(faults...)}
	}
	all := c.shown(p)
	if c.Format == "json" {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(all)
	}
	return all.writeText(p.stdout)
}

func (c *configShowCmd) shown(p process) shownConfig {
	all := shownConfig{Warnings: p.notes}
	if f := p.settings.file; f != nil {
		all.File, all.Ignored = f.path, f.ignored
	}
	typed := map[string]bool{}
	for _, path := range p.command.Path {
		if path.Flag != nil && !path.Resolved {
			typed[path.Flag.Name] = true
		}
	}
	is, byDefault := effective(c.Serve.serverConfig()), effective(defaultServe().serverConfig())
	for _, flag := range p.command.Selected().Flags {
		if slices.Contains([]string{"help", "format", "listener"}, flag.Name) { // listener: see Listeners
			continue
		}
		row := shown{Name: flag.Name, Properties: propertiesOfFlag(flag.Name), Unit: unitOf(flag), Source: "default", Value: textOf(flag, flag.Target)}
		if typed[flag.Name] {
			row.Source = "flag"
		} else if from, used := p.settings.used[flag.Name]; used {
			row.Source, row.Where = from.kind()
		}
		if row.Default = flag.Default; !flag.HasDefault {
			if row.Default = byDefault[flag.Name]; row.Default == "" {
				row.Default = saidDefault(flag.Help)
			}
		}
		if row.Source == "default" && is[flag.Name] != "" {
			row.Value = is[flag.Name]
		}
		all.Settings = append(all.Settings, row)
	}
	for _, l := range c.Serve.listeners() {
		all.Listeners = append(all.Listeners, c.shownListener(p, l))
	}
	return all
}

func (c *configShowCmd) shownListener(p process, l kring.ListenerConfig) shownListener {
	of := shownListener{Name: l.Name, Address: l.Address, Security: string(c.Serve.security(l.Name))}
	for _, s := range c.Serve.Sockets.Listener {
		if s.listener != l.Name || s.setting == securitySetting {
			continue
		}
		row := shown{Name: s.setting, Value: shownSetting(s.setting, s.value), Source: "flag"}
		if from, used := p.settings.used["listener "+s.listener+"."+s.setting]; used && from.file.text == s.value {
			row.Source, row.Where = from.kind()
		} else if from, used := p.settings.used["listener"]; used {
			row.Source, row.Where = from.kind()
		}
		of.Settings = slices.DeleteFunc(of.Settings, func(was shown) bool { return was.Name == s.setting }) // the last one wins
		of.Settings = append(of.Settings, row)
	}
	slices.SortFunc(of.Settings, func(a, b shown) int { return strings.Compare(a.Name, b.Name) })
	return of
}

// kind is what a source is called in the output, and its place.
func (s source) kind() (kind, where string) {
	if s.variable != "" {
		return "environment", s.variable
	}
	return "file", s.place
}

// defaultServe is `kring serve` without flags, environment and file.
func defaultServe() *serveCmd {
	command, err := parseWith([]string{"serve"}, settingsOf(nil), io.Discard, io.Discard)
	if err != nil {
		panic(fmt.Sprintf("kring: the defaults are wrong: %v", err))
	}
	return command.Selected().Target.Addr().Interface().(*serveCmd)
}

// effective are the values of flags that the network layer has a default for, by flag.
func effective(cfg kring.Config) map[string]string {
	cfg = cfg.WithDefaults()
	all := map[string]string{}
	for field, flag := range flagOfField {
		if field == "Conns.HandlerFiles" || field == "Memory.HandlerBytes" || field == "Conns.PerIPMax" {
			continue // the flag says something else
		}
		at := reflect.ValueOf(cfg)
		for part := range strings.SplitSeq(field, ".") {
			if at.Kind() == reflect.Struct && at.IsValid() {
				at = at.FieldByName(part)
			}
		}
		if at.IsValid() && !at.IsZero() && at.Kind() != reflect.Struct && at.Kind() != reflect.Func && at.Kind() != reflect.Slice {
			all[flag] = fmt.Sprint(at.Interface())
		}
	}
	return all
}

// propertiesOfFlag are its names in a configuration file.
func propertiesOfFlag(flag string) (names []string) {
	for _, p := range properties {
		if p.flag == flag {
			names = append(names, p.name)
		}
	}
	if !slices.Contains(notInFiles, flag) {
		names = append(names, ownPrefix+flag)
	}
	return names
}

// unitOf is the unit of a flag's value.
func unitOf(flag *kong.Flag) string {
	switch flag.Target.Interface().(type) {
	case size:
		return "bytes"
	case time.Duration:
		return "time"
	case float64:
		return "per second"
	}
	return ""
}

// textOf is a flag's value as it would be typed.
func textOf(flag *kong.Flag, v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return ""
	case v.Kind() == reflect.Pointer:
		return textOf(flag, v.Elem())
	case v.Kind() == reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, textOf(flag, v.Index(i)))
		}
		return strings.Join(all, string(flag.Tag.Sep))
	case v.IsZero() && !flag.HasDefault && v.Kind() != reflect.Bool:
		return ""
	case v.Type() == reflect.TypeFor[size]():
		return strconv.FormatInt(v.Int(), 10)
	}
	return fmt.Sprint(v.Interface())
}

// saidDefault is what a flag's help says of its default.
func saidDefault(help string) string {
	_, says, _ := strings.Cut(help, "Default: ")
	return strings.TrimSuffix(says, ".")
}

func (all shownConfig) writeText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "SETTING\tVALUE\tUNIT\tSOURCE\tDEFAULT")
	line := func(prefix string, s shown) {
		from := s.Source
		if s.Where != "" {
			from += " (" + s.Where + ")"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", oneLine(prefix+s.Name), orDash(s.Value), orDash(s.Unit), oneLine(from), orDash(s.Default))
	}
	for _, s := range all.Settings {
		line("", s)
	}
	for _, l := range all.Listeners {
		fmt.Fprintf(out, "\nLISTENER %s\n", oneLine(l.Name))
		line("", shown{Name: "address", Value: l.Address, Source: "-"})
		line("", shown{Name: "security", Value: l.Security, Source: "-"})
		for _, s := range l.Settings {
			line("", s)
		}
	}
	if len(all.Ignored) > 0 {
		fmt.Fprintf(out, "\nignored, for they have no meaning here: %s\n", strings.Join(all.Ignored, ", "))
	}
	for _, warning := range all.Warnings {
		fmt.Fprintf(out, "\nwarning: %s\n", oneLine(warning))
	}
	return out.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}
