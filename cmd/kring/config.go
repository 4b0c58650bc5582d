package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"kring"
)

// configCmd is `kring config`.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Look for mistakes in a configuration file."`
	Show  configShowCmd  `cmd:"" help:"Show the settings in effect, and where each comes from."`
}

// configCheckCmd is `kring config check FILE`.
type configCheckCmd struct {
	File string `arg:"" help:"File for --config."`
}

// Help is the text above the argument.
func (configCheckCmd) Help() string {
	return `Reads a file as kring serve --config FILE would, and every file that it names, without the environment, and opens nothing. docs/configuration.md has every property.

Exit status: 0 if the file can be used, 2 if not; then every fault is on standard error, with its line.`
}

// Run says what the file sets, or everything that is wrong with it.
func (c *configCheckCmd) Run(p process) error {
	env := settingsOf(nil)
	command, err := parseWith([]string{"serve", "--config", c.File}, env, io.Discard, io.Discard)
	if command != nil {
		serve := selectedServe(command)
		for _, fault := range serve.faults() {
			if !mentionsAny(fault.Error(), env.file.failed) {
				err = errors.Join(err, fault)
			}
		}
	} else if env.file != nil && env.parsed != nil && env.parsed.Selected() != nil {
		// The flags don't fit together. The certificates are looked at all the same, so that one run names every fault.
		serve := selectedServe(env.parsed)
		err = errors.Join(err, newFaults(err, serve.secure(&kring.Config{Listeners: serve.listeners()}), env.file.failed))
	}
	if err != nil {
		return faultsError{errors.New(env.attribute(strings.TrimPrefix(err.Error(), "serve: ")))}
	}
	return env.file.summarize(p.stdout)
}

// newFaults are those of found that err does not have, and that are not about flags that the
// file failed to set.
func newFaults(err error, found []error, failed map[string]bool) (all error) {
	for _, fault := range found {
		for line := range strings.SplitSeq(fault.Error(), "\n") {
			if !strings.Contains(err.Error(), line) && !mentionsAny(line, failed) {
				all = errors.Join(all, errors.New(line))
			}
		}
	}
	return all
}

// faults is everything that can be seen to be wrong with the flags before the program
// serves. Validate has found nothing.
func (c *serveCmd) faults() (faults []error) {
	cfg := c.serverConfig()
	faults = append(faults, c.secure(&cfg)...)
	if err := cfg.Validate(); err != nil {
		faults = append(faults, unjoin(inFlags(err))...)
	}
	switch c.Handler {
	case handlerNull:
		n, err := c.openNull(c.Telemetry.ClientTelemetry)
		if err != nil {
			return append(faults, unjoin(inFlags(err))...)
		}
		n.Close()
	case handlerEmbedded:
		cluster := c.clusterConfig()
		if err := cluster.Validate(); err != nil {
			faults = append(faults, unjoin(inFlags(err))...)
		}
	}
	return faults
}

// faultsError is a usageError whose text says everything: no advice follows it.
type faultsError struct{ error }

func (f *configFile) summarize(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: fine, with %d settings\n", f.path, len(f.flags)+len(f.settings))
	for _, warning := range f.warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	if len(f.ignored) > 0 {
		fmt.Fprintf(&b, "ignored, for they have no meaning here: %s\n", strings.Join(f.ignored, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
