package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	props "kring/internal/properties"
)

// configFile is what a file of --config says, in the words of flags.
type configFile struct {
	path     string
	flags    map[string]fileValue // by flag, but for listener
	settings []fileSetting        // of single listeners
	ignored  []string             // properties of Kafka's that have no meaning here
	warnings []string
	faults   []error // of lines: *lineFault

	in     map[string]props.Property // all that hold
	model  map[string]*kong.Flag     // to try values on; by flag
	failed map[string]bool           // flags that a fault is about
	names  []string                  // of listeners, if the file says them
}

// fileValue is the text of a flag, and where it is from.
type fileValue struct {
	text string
	from props.Property
}

// fileSetting is the same for a setting of one listener.
type fileSetting struct {
	listenerSetting
	from props.Property
}

// at names a property for people: with its file and line.
func (f *configFile) at(p props.Property) string {
	return fmt.Sprintf("%s, %s:%d", p.Key, f.path, p.Line)
}

// readConfigFile reads a file as a whole. What is wrong with it is in faults.
func readConfigFile(path string) *configFile {
	text, err := readBounded(path, props.BytesMax)
	if err != nil {
		return &configFile{path: path, faults: []error{fmt.Errorf("--config: %w", err)}}
	}
	return parseConfig(path, text, flagModel())
}

// parseConfig is readConfigFile for a text. It tries values on the flags of model.
func parseConfig(path string, text []byte, model map[string]*kong.Flag) *configFile {
	f := &configFile{path: path, flags: map[string]fileValue{}, in: map[string]props.Property{}, failed: map[string]bool{}, model: model}
	all, err := props.Parse(text)
	for _, fault := range unjoin(err) {
		is := &lineFault{error: fmt.Errorf("%s:%w", path, fault)}
		var syntax *props.Fault
		if errors.As(fault, &syntax) {
			is.line = syntax.Line
		}
		f.faults = append(f.faults, is)
	}
	hold, overridden := props.Split(f.withoutPEMLines(all))
	for _, p := range hold {
		f.in[p.Key] = p
	}
	for _, p := range overridden {
		f.warnings = append(f.warnings, fmt.Sprintf("%s:%d: %s is there again in line %d, and the last one holds", path, p.Line, p.Key, f.in[p.Key].Line))
	}
	f.readListeners()
	for _, p := range hold {
		if len(f.faults) >= faultsListedMax {
			f.fault(p, "there are too many faults; those from here on are not listed")
			break
		}
		f.read(p)
	}
	slices.SortStableFunc(f.faults, func(a, b error) int { return lineOf(a) - lineOf(b) })
	return f
}

// faultsListedMax bounds the list of faults: the file may be something else altogether.
const faultsListedMax = 100

// lineFault is a fault in a line of the file.
type lineFault struct {
	line int
	error
}

func lineOf(err error) int {
	var in *lineFault
	if errors.As(err, &in) {
		return in.line
	}
	return 0
}

func readBounded(path string, most int64) ([]byte, error) {
	if err := notAPipe(path); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes; is it a configuration file?", path, most)
	}
	return text, err
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	return []error{err}
}

func (f *configFile) fault(p props.Property, format string, args ...any) {
	f.faults = append(f.faults, &lineFault{p.Line, fmt.Errorf("%s:%d:%d: %s: %w", f.path, p.Line, p.Column, keyShown(p.Key), fmt.Errorf(format, args...))})
}

// nameLike matches what can be a property's name.
var nameLike = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

// keyShown is a key as errors show it. What is no name may be the rest of a value whose line
// should have gone on, and so a part of a secret.
func keyShown(key string) string {
	if !nameLike.MatchString(key) {
		return "(no name of a property)"
	}
	return key
}

// withoutPEMLines leaves out the lines of a PEM text behind its first, which is all of it that
// the property has got. They may be a private key's, and each would be called an unknown
// property, by its name.
func (f *configFile) withoutPEMLines(all []props.Property) (kept []props.Property) {
	within := false
	for _, p := range all {
		switch begins := strings.LastIndex(p.Value, "-----BEGIN "); {
		case within:
			within = !strings.HasPrefix(p.Key, "-----END")
			continue
		case begins >= 0 && !strings.Contains(p.Value[begins:], "-----END "):
			within = true
			if row, known := propertyNamed(p.Key); known {
				f.failed[row.flag] = true
			}
			f.fault(p, "the PEM text ends with this line; end each of its lines but the last with \\n\\, or name a file")
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// provided matches a value that Kafka would ask a provider for: ${provider:key}.
var provided = regexp.MustCompile(`\$\{[^{}:]*:[^{}]*\}`)

// read takes one property; readListeners has taken its own.
func (f *configFile) read(p props.Property) {
	if provided.MatchString(p.Value) && !isIgnored(p.Key) {
		f.fault(p, "the value asks a provider (${…}): %s", refusedProperties["config.providers"])
		return
	}
	if strings.HasSuffix(p.Key, jaasSuffix) {
		f.readJAAS(p)
		return
	}
	if remedy, refused := refusedProperties[p.Key]; refused {
		f.fault(p, "can't be used: %s", remedy)
		return
	}
	if rest, ofListener := cutPrefixFold(p.Key, listenerPrefix); ofListener {
		f.readSetting(p, rest)
		return
	}
	if flag, own := strings.CutPrefix(p.Key, ownPrefix); own {
		if f.model[flag] == nil {
			f.fault(p, "there is no such setting%s", f.meant(p.Key))
			return
		}
		f.set(p, flag, p.Value)
		return
	}
	row, known := propertyNamed(p.Key)
	switch {
	case known && row.read != nil:
		f.convert(p, row)
	case known: // by readListeners
	case isIgnored(p.Key):
		f.ignore(p)
	default:
		f.fault(p, "there is no such property%s", f.meant(p.Key))
	}
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// convert reads the value of a row and sets its flag.
func (f *configFile) convert(p props.Property, row property) {
	text, err := row.read(strings.TrimSpace(p.Value))
	switch {
	case err != nil:
		f.failed[row.flag] = true
		f.fault(p, "%w", err)
	case text != "":
		f.set(p, row.flag, text)
	}
}

// set has the file say the text of a flag, if the flag takes it.
func (f *configFile) set(p props.Property, flag, text string) {
	if other, there := f.flags[flag]; there {
		f.fault(p, "%s in line %d is the same setting; remove one of the two", other.from.Key, other.from.Line)
		return
	}
	if err := tryFlag(f.model[flag], strings.TrimSpace(text)); err != nil {
		f.failed[flag] = true
		f.fault(p, "%s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "--"+flag+": "), "--"+flag+" "))
		return
	}
	f.flags[flag] = fileValue{strings.TrimSpace(text), p}
}

func (f *configFile) ignore(p props.Property) {
	f.ignored = append(f.ignored, p.Key)
	if p.Key == "log.dirs" || p.Key == "log.dir" {
		f.warnings = append(f.warnings, fmt.Sprintf("%s:%d: %s is ignored: Kafka's files are not kring's; name a directory of kring's own in kring.data-dir, or records are kept in memory only", f.path, p.Line, p.Key))
	}
}

// meant is the end of an error about an unknown property.
func (f *configFile) meant(name string) string {
	if own := ownPrefix + name; f.model[name] != nil {
		return "; is " + own + " meant?"
	}
	if says := didYouMean(name, f.known()); says != "" {
		return says
	}
	return didYouMean(ownPrefix+name, f.known())
}

// known are all names that a property can have.
func (f *configFile) known() []string {
	names := propertyNames()
	for flag := range f.model {
		names = append(names, ownPrefix+flag)
	}
	for _, name := range ignoredProperties {
		if !strings.HasSuffix(name, ".") {
			names = append(names, name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

// propertyNames are the names of all rows.
func propertyNames() (names []string) {
	for _, p := range properties {
		names = append(names, p.name)
	}
	return names
}

// notInFiles are flags that a file can't set; refusedProperties has the remedies.
var notInFiles = []string{"config", "listener", "help"}

// flagModel is the flags of `kring serve` that a file can set, on values of their own.
func flagModel() map[string]*kong.Flag {
	all := map[string]*kong.Flag{}
	parser := newParser(new(grammar), io.Discard, io.Discard)
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			all[flag.Name] = flag
		}
	}
	maps.DeleteFunc(all, func(name string, _ *kong.Flag) bool { return slices.Contains(notInFiles, name) })
	return all
}

// tryFlag says whether a flag takes a text.
func tryFlag(flag *kong.Flag, text string) error {
	if text == "" {
		return errors.New("the value is empty; give one, or remove the line")
	}
	target := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Parse(kong.Scan().PushTyped(text, kong.FlagValueToken), target); err != nil {
		return err
	}
	if flag.Enum == "" || target.Kind() != reflect.String {
		return nil
	}
	if is := target.String(); !slices.Contains(flag.EnumSlice(), is) {
		return fmt.Errorf("must be one of %s, not %q", strings.Join(flag.EnumSlice(), ", "), is)
	}
	return nil
}
