package main

import (
	"fmt"
	"slices"

	"github.com/alecthomas/kong"
)

// commonFlags are what "kring serve --help" shows; "kring serve --help-all" shows all.
var commonFlags = []string{
	"listen", "advertise", "listener", "config", // where, and by what
	"data-dir", "sync-writes", "seed-topic", "handler", // what is served
	"tls-cert", "tls-key", "tls-client-ca", "sasl", "users", "acl", // who may do what
	"max-connections", "max-connections-per-ip", "quota", "memory-max", // how much
	"engine", "dispatch", "processors", // how
	"http", "log-level", "drain-timeout", "upgrade-socket", // how it is run
}

// helpAll is --help with every flag.
const helpAll = "--help-all"

// everything turns --help-all into --help, and reports whether it was there.
func everything(args []string) (without []string, all bool) {
	end := len(args)
	if at := slices.Index(args, "--"); at >= 0 {
		end = at
	}
	at := slices.Index(args[:end], helpAll)
	if at < 0 {
		return args, false
	}
	without = slices.Clone(args)
	without[at] = "--help"
	return without, true
}

// helpPrinter prints the help of a command. Of one with more flags than fit on a page or two it
// shows those that people need, unless all are asked for.
func helpPrinter(all bool) kong.HelpPrinter {
	return func(options kong.HelpOptions, of *kong.Context) error {
		hidden := 0
		if selected := of.Selected(); selected != nil && !all {
			hidden = hideFlags(selected)
		}
		if err := kong.DefaultHelpPrinter(options, of); err != nil || hidden == 0 {
			return err
		}
		_, err := fmt.Fprintf(of.Stdout, "\n%d more flags: kring %s %s\n", hidden, of.Selected().FullPath()[len("kring "):], helpAll)
		return err
	}
}

// manyFlags is from how many flags on a command's help is cut.
const manyFlags = 40

// hideFlags hides what is not common of a command with many flags, and returns how many that
// are.
func hideFlags(command *kong.Node) (n int) {
	if len(command.Flags) < manyFlags {
		return 0
	}
	for _, f := range command.Flags {
		ofGateway := f.Group != nil && f.Group.Key == "upstream"
		if !slices.Contains(commonFlags, f.Name) && f.Name != "help" && !ofGateway && !f.Hidden {
			f.Hidden = true
			n++
		}
	}
	return n
}
