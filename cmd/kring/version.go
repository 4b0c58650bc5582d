package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints the version of the module, the revision it was built from, the Go
// version and the platform.
func (versionCmd) Run(p process) error {
	_, err := fmt.Fprintf(p.stdout, "kring %s %s %s/%s\n", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// release is the version of a release: scripts/release.sh sets it.
var release string

// programVersion is the version of the release or of the module, and the revision it was built
// from.
func programVersion() string {
	version, revision := "(devel)", ""
	if release != "" {
		version = release
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && release == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = " " + s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				revision += " (modified)"
			}
		}
	}
	return version + revision
}
