package compare

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Overview is one table of a comparison for readers who want no more: every
// contestant in every closed loop. file is where the raw results are.
func Overview(res *Results, file string) string {
	b := &strings.Builder{}
	e := &res.Env
	var closed []*Scenario
	for i := range e.Scenarios {
		if e.Scenarios[i].Open == "" {
			closed = append(closed, &e.Scenarios[i])
		}
	}
	fmt.Fprint(b, "| requests/s (CPU µs each) |")
	for _, s := range closed {
		fmt.Fprintf(b, " %s |", s.Name)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(closed)))
	for _, c := range e.Order {
		name := c
		if e.Ours[c] {
			name = "**" + c + "**"
		}
		fmt.Fprintf(b, "| %s |", name)
		for _, s := range closed {
			r := res.Row(s, c)
			switch {
			case r.Counted > 0:
				fmt.Fprintf(b, " %s (%.2f) |", Count(r.Rate.Median), r.CPU.Median)
			case r.Of > 0:
				fmt.Fprint(b, " not decided |")
			default:
				fmt.Fprint(b, " – |")
			}
		}
		b.WriteByte('\n')
	}
	virtual := ""
	if e.Virtual {
		virtual = ", virtual machine"
	}
	fmt.Fprintf(b, "\n%s (%d CPUs%s), %s %s, commit %s, %s; server and generator on a CPU each; medians of %d rounds of %v. Raw results: `%s`.\n",
		orUnknown(e.CPU), e.CPUs, virtual, e.OS, e.Kernel, orUnknown(e.Commit), e.Started.UTC().Format("2006-01-02"), e.Rounds, e.Duration, filepath.Base(file))
	return b.String()
}
