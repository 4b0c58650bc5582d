package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var flagInHelp = regexp.MustCompile(`(?m)^  (?:-h, )?--(\S+?)(?:=| |$)`)

func flagsIn(help string) (names []string) {
	for _, m := range flagInHelp.FindAllStringSubmatch(help, -1) {
		names = append(names, strings.TrimPrefix(m[1], "[no-]"))
	}
	return names
}

// TestHelpShowsWhatPeopleNeedAndSaysWhereTheRestIs: every common flag exists and is shown,
// nothing else is, and --help-all shows each flag once.
func TestHelpShowsWhatPeopleNeedAndSaysWhereTheRestIs(t *testing.T) {
	short, long := output(t, "serve", "--help"), output(t, "serve", "--help-all")
	shown := flagsIn(short)
	for _, name := range append([]string{"help"}, commonFlags...) {
		if !slices.Contains(shown, name) {
			t.Errorf("--%s is not in kring serve --help", name)
		}
	}
	if len(shown) != len(commonFlags)+1 {
		t.Errorf("kring serve --help shows %q", shown)
	}
	if !strings.Contains(short, "more flags: kring serve --help-all\n") {
		t.Error("kring serve --help does not say where the rest is")
	}
	var every []string
	for _, f := range newParser(new(grammar), nil, nil).Model.Children[0].Flags {
		if !f.Hidden && f.Name != "help" {
			every = append(every, f.Name)
		}
	}
	all := slices.DeleteFunc(flagsIn(long), func(name string) bool { return name == "help" })
	slices.Sort(every)
	slices.Sort(all)
	if !slices.Equal(all, every) {
		t.Errorf("kring serve --help-all shows %q, not %q", all, every)
	}
	if output(t, "help", "serve") != short {
		t.Error("kring help serve is another help")
	}
	if _, all := everything([]string{"serve", "--", helpAll}); all {
		t.Error("--help-all behind -- is taken for a flag")
	}
}
