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

	"kring/sasl"
	"kring/uring"
	"kring/views"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// grammar is the command line.
type grammar struct {
	Serve       serveCmd       `cmd:"" help:"Serve Kafka clients until SIGINT or SIGTERM."`
	Gateway     gatewayCmd     `cmd:"" help:"Serve Kafka clients from an existing cluster, until SIGINT or SIGTERM."`
	Replay      replayCmd      `cmd:"" help:"Play a recording (--record) against a server, and report its latencies."`
	Config      configCmd      `cmd:"" help:"Check a configuration file, or show the settings in effect."`
	ACL         aclCmd         `cmd:"" name:"acl" help:"Check the rules of who may do what."`
	User        userCmd        `cmd:"" help:"Add, remove or list the users of a users file (--users)."`
	Connections connectionsCmd `cmd:"" help:"List or close the connections of a running kring."`
	Top         topCmd         `cmd:"" help:"Show the clients of a running kring, as they come and go."`
	Doctor      doctorCmd      `cmd:"" help:"Report what this machine can do for kring, and what stands in the way."`
	Ready       readyCmd       `cmd:"" help:"Ask a server whether it serves (its --http)."`
	Completion  completionCmd  `cmd:"" help:"Print the completion for a shell: bash, zsh or fish."`
	Man         manCmd         `cmd:"" help:"Print the manual page."`
	Version     versionCmd     `cmd:"" help:"Print the version of this build."`
}

// process is what a command may use of the process it runs in.
type process struct {
	stdout  io.Writer // blocks while nobody reads it
	stderr  *lines
	signals <-chan os.Signal // each asks to stop
	asks    <-chan os.Signal // each asks for the state

	command  *kong.Context // what was parsed
	settings *settings
	notes    []string // warnings about the settings
	// again parses the same command line and environment with the configuration file as it
	// is now.
	again func() (*kong.Context, *settings, error)
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
	again := func() (*kong.Context, *settings, error) {
		now := settingsOf(environ)
		command, err := parseWith(asUsual(args), now, io.Discard, io.Discard)
		return command, now, err
	}
	err := command.Run(process{stdout: stdout, stderr: stderr, signals: signals, asks: asks, command: command, settings: env, notes: env.notes(command), again: again})
	var usage usageError
	var verdict statusError
	var faults faultsError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &verdict):
		return int(verdict)
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, err)
		return exitUsage
	case errors.As(err, &usage):
		return complain(stderr, env, args, err)
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
	return valued(args)
}

// parse returns the command to run, or nil and the status to exit with.
func parse(args []string, env *settings, stdout, stderr io.Writer) (command *kong.Context, status int) {
	type exited int
	defer func() {
		if code, ok := recover().(exited); ok {
			status = int(code)
		}
	}()
	command, err := parseWith(args, env, stdout, stderr, kong.Exit(func(code int) { panic(exited(code)) })) // --help
	if err != nil {
		return nil, complain(stderr, env, args, err)
	}
	return command, exitOK
}

// parseWith returns the command to run. The error names every fault of a configuration
// file.
func parseWith(args []string, env *settings, stdout, stderr io.Writer, more ...kong.Option) (*kong.Context, error) {
	g := new(grammar)
	env.sockets = []*socketFlags{&g.Serve.Sockets, &g.Gateway.Sockets, &g.Config.Show.Serve.Sockets}
	args, all := everything(args)
	parser := newParser(g, stdout, stderr, append(more, kong.Resolvers(env), kong.Help(helpPrinter(all)))...)
	command, err := parser.Parse(args)
	env.parsed = command
	if of := (*kong.ParseError)(nil); errors.As(err, &of) {
		env.parsed = of.Context
	}
	return command, env.withFile(discreet(args, err))
}

// unexpected begins kong's error about an argument too many, which it shows.
const unexpected = "unexpected argument "

// discreet leaves an argument out of an error where it may be a password: of kring user, and
// where a flag has one.
func discreet(args []string, err error) error {
	if err == nil || !strings.Contains(err.Error(), unexpected) {
		return err
	}
	of := func(arg string) bool {
		return strings.Contains(arg, passwordSuffix) || strings.Contains(arg, plainUsersSetting)
	}
	switch {
	case args[0] == "user":
		return errors.New("there is an argument too many, which is not shown; a password is never one: leave it out to be asked for it, or give --password-file FILE")
	case slices.ContainsFunc(args, of):
		return errors.New("there is an argument too many, which is not shown because it may be a part of a password; put quotes around a value with blanks, or give file:PATH")
	}
	return err
}

func newParser(g *grammar, stdout, stderr io.Writer, more ...kong.Option) *kong.Kong {
	parser, err := kong.New(g, append([]kong.Option{
		kong.Name("kring"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpOf),
		kong.ExplicitGroups(groups),
	}, more...)...)
	if err != nil {
		panic(fmt.Sprintf("kring: the command line's own definition is wrong: %v", err))
	}
	dropFlags(parser)
	nameLists(parser.Model.Node)
	return parser
}

// nameLists puts the names that texts of flags have in braces into them. kong.Vars would be read
// once for each flag, which was half of the time of a start.
func nameLists(node *kong.Node) {
	lists := strings.NewReplacer(
		"{{uring_keys}}", strings.Join(uring.SettingKeys(), ", "), "{{oauth_algorithms}}", strings.Join(sasl.OAuthAlgorithms, ", "),
		"{{listener_settings}}", listenerSettingNames(),
		"{{sort_keys}}", strings.Join(views.SortKeys(), ", "), "{{filter_keys}}", strings.Join(views.FilterKeys(), ", "))
	_ = kong.Visit(node, func(at kong.Visitable, next kong.Next) error {
		if flag, is := at.(*kong.Flag); is {
			flag.Help = lists.Replace(flag.Help)
		}
		return next(nil)
	})
}

// usageError is a fault of the command line, with exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func complain(stderr io.Writer, env *settings, args []string, err error) int {
	fmt.Fprintf(stderr, "kring: error: %s\n", env.attribute(err.Error()))
	fmt.Fprintf(stderr, "kring: run \"kring --help\" or \"kring %s --help\" for what is possible\n", commandOf(args))
	return exitUsage
}

// commandOf is the command that args begin with, whose help has what they lack.
func commandOf(args []string) string {
	if len(args) > 0 && slices.Contains([]string{"acl", "completion", "config", "connections", "doctor", "gateway", "ready", "top", "user"}, args[0]) {
		return args[0]
	}
	return "serve"
}
