package main

import (
	"strings"
	"testing"

	"kring/bench/compare"
)

// TestAKeyAloneSelectsTheDispatchesItMeansSomethingWith: nobody who asks for
// defer-taskrun knows that it goes with inline handlers only.
func TestAKeyAloneSelectsTheDispatchesItMeansSomethingWith(t *testing.T) {
	for only, want := range map[string]string{
		"defer-taskrun": "kring-uring-inline, inline: deferred task work: off",
		"handler-batch": "kring-uring-pool, pool: hand-over in batches: one by one",
		"recv":          "kring-uring-inline, inline: multishot receive: one by one, kring-uring-pool, pool: multishot receive: one by one",
	} {
		o := compare.Options{Against: map[string]string{}}
		if err := (&ablateCmd{Only: []string{only}, Dispatch: []string{"inline", "pool"}}).choose(&o); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range o.Contestants {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, ", "); got != want || o.Base != names[0] {
			t.Errorf("%s: %s against %s, want %s", only, got, o.Base, want)
		}
	}
	for _, c := range []ablateCmd{
		{Only: []string{"defer-taskrun"}, Dispatch: []string{"pool"}},
		{Only: []string{"nobody"}, Dispatch: []string{"inline"}},
		{Only: []string{"recv=nobody"}, Dispatch: []string{"inline"}},
		{Only: []string{"busy-poll=50us"}, Dispatch: []string{"pool"}}, // refused where no processor is free
	} {
		err := c.choose(&compare.Options{Against: map[string]string{}})
		if err != nil && !strings.Contains(err.Error(), "--only") || err == nil && c.Only[0] != "busy-poll=50us" {
			t.Errorf("%q: %v", c.Only, err)
		}
	}
}
