package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"kring/uring"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// grammar is the command line.
type grammar struct {
	Serve   serveCmd   `cmd:"" help:"Serve Kafka clients until SIGINT or SIGTERM."`
	Doctor  doctorCmd  `cmd:"" help:"Report what this machine can do for kring, and what stands in the way."`
	Version versionCmd `cmd:"" help:"Print the version of this build."`
}

// process is what a command may use of the process it runs in.
type process struct {
	stdout  io.Writer // blocks while nobody reads it
	stderr  *lines
	signals <-chan os.Signal // each asks to stop
	asks    <-chan os.Signal // each asks for the state
}

const description = `The network layer of a Kafka-style broker on io_uring.

Run "kring serve" and point any Kafka client at 127.0.0.1:9092.`

// run is the program: it parses args and the KRING_ settings of environ, runs
// the command and returns the exit status. It never waits for the reader of standard
// error.
func run(args, environ []string, stdout, terminal io.Writer, signals <-chan os.Signal) int {
	env := settingsOf(environ)
	stderr := newLines(terminal, nil) // nobody else could be told
	defer stderr.end()
	command, status := parse(asUsual(args), env, stdout, stderr)
	if command == nil {
		return status
	}
	asks := make(chan os.Signal, 1)
	if stateSignal != nil {
		signal.Notify(asks, stateSignal)
		defer signal.Stop(asks)
	}
	err := command.Run(process{stdout: stdout, stderr: stderr, signals: signals, asks: asks})
	var usage usageError
	var verdict statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &verdict):
		return int(verdict)
	case errors.As(err, &usage):
		return complain(stderr, env, err)
	default:
		fmt.Fprintf(stderr, "kring: error: %s\n", inAdvice(strings.TrimPrefix(err.Error(), "kring: ")))
		return exitFailure
	}
}

// asUsual accepts what people type first at any program: --version, -V and -v are
// "version"; "help" and "help serve" are --help and "serve --help". -v is not
// verbose (see --log-level).
func asUsual(args []string) []string {
	if len(args) == 0 {
		return args
	}
	switch args[0] {
	case "--version", "-version", "-V", "-v":
		return append([]string{"version"}, args[1:]...)
	case "help", "-help", "-?":
		return append(slices.Clone(args[1:]), "--help")
	}
	return args
}

// parse returns the command to run, or nil and the status to exit with.
func parse(args []string, env *settings, stdout, stderr io.Writer) (command *kong.Context, status int) {
	type exited int
	defer func() {
		if code, ok := recover().(exited); ok {
			status = int(code)
		}
	}()
	parser, err := kong.New(new(grammar),
		kong.Name("kring"),
		kong.Description(description),
		kong.Vars{"uring_keys": strings.Join(uring.SettingKeys(), ", "), "listener_settings": listenerSettingNames()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }), // --help
		kong.Resolvers(env),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpOf),
		kong.ExplicitGroups(groups),
	)
	if err != nil {
		panic(fmt.Sprintf("kring: the command line's own definition is wrong: %v", err))
	}
	command, err = parser.Parse(args)
	if err != nil {
		return nil, complain(stderr, env, err)
	}
	return command, exitOK
}

// usageError is a fault of the command line, with exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func complain(stderr io.Writer, env *settings, err error) int {
	fmt.Fprintf(stderr, "kring: error: %s\n", env.attribute(err.Error()))
	fmt.Fprintln(stderr, `kring: run "kring --help" or "kring serve --help" for what is possible`)
	return exitUsage
}

// settings resolves flags from the environment: --drain-timeout is
// KRING_DRAIN_TIMEOUT.
type settings struct {
	values map[string]string // by variable
	used   map[string]string // flag to variable, of what Resolve gave
}

const settingPrefix = "KRING_"

func settingsOf(environ []string) *settings {
	s := &settings{values: make(map[string]string), used: make(map[string]string)}
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
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	variable := variableOf(flag.Name)
	value, ok := s.values[variable]
	if !ok || flag.Name == "help" {
		return nil, nil
	}
	s.used[flag.Name] = variable
	return value, nil
}

// attribute adds to an error that names a flag that its value came from the
// environment.
func (s *settings) attribute(message string) string {
	for flag, variable := range s.used {
		if strings.Contains(message+" ", "--"+flag+" ") || strings.Contains(message, "--"+flag+":") ||
			strings.Contains(message, "--"+flag+"=") {
			return message + " (set by " + variable + " in the environment)"
		}
	}
	return message
}

// helpOf adds a flag's variable to its help.
func helpOf(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" {
		return v.Help
	}
	return v.Help + " [$" + variableOf(v.Name) + "]"
}
