package main

import (
	"fmt"
	"io"
	"strings"

	"kring/uring"
)

// writeSettings lists the keys of --uring. The first line of each has three columns
// and values to try; scripts read it. The next, indented, says what the setting does.
func writeSettings(w io.Writer) error {
	var b strings.Builder
	line := func(key, def, wait, try string) {
		fmt.Fprintf(&b, "%-21s %-10s %-7s %s\n", key, def, wait, try)
	}
	line("SETTING", "DEFAULT", "WAIT", "TRY")
	for _, s := range uring.Settings() {
		wait := "any"
		if s.Locked {
			wait = "locked"
		}
		def := s.Default
		if def == "" {
			def = "none"
		}
		line(s.Key, def, wait, strings.Join(s.Try, " "))
		says := strings.NewReplacer("`", "", "*", "").Replace(s.Says)
		if s.Since != "" {
			says = "since " + s.Since + ": " + says
		}
		fmt.Fprintf(&b, "    %s\n", says)
	}
	fmt.Fprintf(&b, "\nGive each as kring serve --uring TRY. WAIT locked: for --dispatch inline, or --wait locked.\n")
	fmt.Fprintf(&b, "Kernel profiles (--kernel-profile): %s\n", strings.Join(uring.KernelProfiles(), " "))
	_, err := io.WriteString(w, b.String())
	return err
}
