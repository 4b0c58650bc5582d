package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// settings resolves flags that the command line does not set: first from the environment,
// where --drain-timeout is KRING_DRAIN_TIMEOUT, then from the file of --config.
type settings struct {
	values  map[string]string // by variable
	used    map[string]source // by flag, or "listener NAME.SETTING"
	file    *configFile       // nil: none
	parsed  *kong.Context     // the command, also when its flags don't fit together; nil before
	sockets []*socketFlags    // get the file's settings of single listeners
	loaded  bool
}

// source is where a value came from, other than the command line.
type source struct {
	variable string // "": the file
	file     fileValue
	place    string // for people
}

func (s source) String() string {
	if s.variable != "" {
		return s.variable + " in the environment"
	}
	return s.place
}

const settingPrefix = "KRING_"

func settingsOf(environ []string) *settings {
	s := &settings{values: make(map[string]string), used: make(map[string]source)}
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, settingPrefix) {
			s.values[name] = value
		}
	}
	return s
}

func variableOf(flag string) string {
	return settingPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Validate is kong's: nothing to check before the flags are known.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve gives kong the value of a flag that the command line did not set.
func (s *settings) Resolve(command *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
	s.load(command, path)
	if flag.Name == "help" {
		return nil, nil
	}
	variable := variableOf(flag.Name)
	if value, ok := s.values[variable]; ok && !(isGateway(path) && notOfGateway[flag.Name]) {
		s.used[flag.Name] = source{variable: variable}
		return value, nil
	}
	if s.file == nil {
		return nil, nil
	}
	if is, ok := s.file.flags[flag.Name]; ok {
		s.used[flag.Name] = source{file: is, place: s.file.at(is.from)}
		return is.text, nil
	}
	return nil, nil
}

// isGateway says whether a flag is one of kring gateway's. The environment of a container is that
// of its image, which is made for kring serve: what a gateway has no use for is passed over there,
// and refused on the command line alone.
func isGateway(path *kong.Path) bool {
	return path.Command != nil && path.Command.Name == "gateway"
}

// load reads the file that --config or its variable names.
func (s *settings) load(command *kong.Context, path *kong.Path) {
	at := slices.IndexFunc(path.Flags, func(f *kong.Flag) bool { return f.Name == "config" })
	if at < 0 || s.loaded {
		return
	}
	s.loaded = true
	name, _ := command.FlagValue(path.Flags[at]).(string)
	if name == "" {
		name = s.values[variableOf("config")]
	}
	if name == "" {
		return
	}
	s.file = readConfigFile(name)
	var settings []listenerSetting
	for _, of := range s.file.settings {
		settings = append(settings, of.listenerSetting)
		s.used["listener "+of.listener+"."+of.setting] = source{file: fileValue{of.value, of.from}, place: s.file.at(of.from)}
	}
	for _, to := range s.sockets {
		to.fromFile, to.fileNames = settings, s.file.names
	}
}

// withFile adds the faults of the file to an error of the command line. An error that is
// about a flag which the file failed to set comes of that, and is left out.
func (s *settings) withFile(err error) error {
	if s.file == nil || len(s.file.faults) == 0 {
		return err
	}
	faults := slices.Clone(s.file.faults)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !mentionsAny(line, s.file.failed) {
				faults = append(faults, errors.New(strings.TrimPrefix(line, "serve: ")))
			}
		}
	}
	return errors.Join(faults...)
}

// mentions says whether a line of an error is about a flag.
func mentions(line, flag string) bool {
	return strings.Contains(line+" ", "--"+flag+" ") || strings.Contains(line, "--"+flag+":") || strings.Contains(line, "--"+flag+"=") ||
		strings.Contains(line, "--"+flag+";")
}

func mentionsAny(line string, flags map[string]bool) bool {
	for flag := range flags {
		if mentions(line, flag) {
			return true
		}
	}
	return false
}

// attribute adds to each line of an error that names a flag where its value came from.
func (s *settings) attribute(message string) string {
	lines := strings.Split(message, "\n")
	for i, line := range lines {
		var from []string
		for _, flag := range slices.Sorted(maps.Keys(s.used)) {
			if place := s.used[flag].String(); mentions(line, flag) && !slices.Contains(from, place) {
				from = append(from, place)
			}
		}
		if len(from) > 0 {
			lines[i] += " (set by " + strings.Join(from, "; ") + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// helpOf adds a flag's variable to its help.
func helpOf(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" {
		return v.Help
	}
	return v.Help + " [$" + variableOf(v.Name) + "]"
}

// notes are warnings about what the file and the environment say.
func (s *settings) notes(command *kong.Context) (warnings []string) {
	if s.file != nil {
		warnings = s.file.warnings
	}
	var variables []string
	for _, node := range command.Model.Leaves(false) {
		for _, flags := range node.AllFlags(false) {
			for _, f := range flags {
				variables = append(variables, variableOf(f.Name))
			}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(s.values)) {
		if !slices.Contains(variables, v) && !slices.Contains(variablesOfScripts, v) {
			warnings = append(warnings, fmt.Sprintf("the variable %s of the environment is no setting of kring%s", v, didYouMean(v, variables)))
		}
	}
	return warnings
}

// variablesOfScripts are those by which the scripts and tests of this repository are told
// things, and pass on to the servers that they start. They are settings of theirs.
var variablesOfScripts = []string{
	"KRING_BENCH", "KRING_BENCH_TEST_CHILD", "KRING_BIN", "KRING_BOOTSTRAP", "KRING_CHAOS_ROUNDS", "KRING_COMMAND",
	"KRING_CONFORMANCE_ALLOW", "KRING_CONTESTANT_TEST_CHILD", "KRING_ENGINES", "KRING_GATEWAY_CLIENTS",
	"KRING_GATEWAY_FAILOVER", "KRING_GATEWAY_MIX", "KRING_GATEWAY_MODES", "KRING_GATEWAY_SUITE", "KRING_GATEWAY_TOOLS",
	"KRING_HELDFILE_SERVER", "KRING_JAVA_CACHE", "KRING_JAVA_PARTS", "KRING_KAFKA_CACHE", "KRING_KAFKA_PROXY",
	"KRING_KROXYLICIOUS", "KRING_KROXYLICIOUS_JAVA", "KRING_PEERS", "KRING_PEER_VERSIONS", "KRING_PIPELINE_REQUESTS",
	"KRING_PIPELINE_SEED", "KRING_TEST_CHILD", "KRING_TEST_SUITE_CHILD", "KRING_TRACES", "KRING_UPDATE",
	"KRING_VERSIONS_CACHE", "KRING_VERSIONS_NODES",
}
