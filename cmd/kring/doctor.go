package main

import (
	"encoding/json"
	"fmt"

	"kring/doctor"
	"kring/embedded"
)

// doctorCmd is `kring doctor`.
type doctorCmd struct {
	Verbose bool `xor:"form" help:"Also list features that kring never uses."`
	JSON    bool `name:"json" xor:"form" help:"Write the report as JSON, with all features; docs/doctor.md names its fields."`
	Seccomp bool `xor:"form" help:"Write a seccomp profile for containers instead: everything that kring needs, with io_uring."`

	Settings bool `xor:"form" help:"List instead what --uring can set: every key, its default, values to try, and what it does."`
}

// Help is the text above the flags.
func (doctorCmd) Help() string {
	return `Asks the kernel for every feature by using it, and the server which engine it would choose. Changes nothing.

Examples:

    kring doctor
    kring doctor --verbose
    kring doctor --json
    kring doctor --settings
    kring doctor --seccomp > kring.json && docker run --security-opt seccomp=kring.json IMAGE

Exit status: 0 io_uring can serve here, 3 only another engine can, 1 the doctor itself failed, 2 for a wrong setting.`
}

// Run writes the report, or the profile.
func (c *doctorCmd) Run(p process) error {
	if c.Seccomp {
		return doctor.WriteSeccompProfile(p.stdout)
	}
	if c.Settings {
		return writeSettings(p.stdout)
	}
	report, err := doctor.Examine(doctor.Keeper{FilesWanted: embedded.FilesFor(0), PartitionsFor: embedded.PartitionsFor, MemoryOf: clusterMemory})
	if err != nil {
		return fmt.Errorf("doctor: no engine can run here: %w", err)
	}
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(report)
	} else {
		err = report.WriteText(p.stdout, c.Verbose)
	}
	if err == nil && report.Exit != doctor.ExitURing {
		err = statusError(report.Exit)
	}
	return err
}

// statusError is an exit status without a message.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
