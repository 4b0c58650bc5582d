package doctor

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"kring"
	"kring/uring"
)

// columns is the widest line.
const columns = 100

// WriteText writes the report for a person, without colours. Verbose: with the
// features that kring never uses.
func (r Report) WriteText(w io.Writer, verbose bool) error {
	p := page{bufio.NewWriter(w)}
	p.verdict(&r)
	p.findings(r.Findings)
	p.facts(&r)
	p.engines(&r)
	p.features(r.Features, verbose)
	return p.Flush()
}

type page struct{ *bufio.Writer }

func (p page) verdict(r *Report) {
	says := "io_uring serves here"
	if r.Exit != ExitURing {
		says = "io_uring can't serve here; " + r.Auto.Engine + " does"
	}
	fmt.Fprintf(p, "kring doctor: %s\n\n", says)
}

func (p page) findings(all []Finding) {
	for _, f := range all {
		p.entry(string(f.Severity), f.What)
		p.entry("  remedy", f.Remedy)
	}
	if len(all) == 0 {
		fmt.Fprintln(p, "Nothing stands in the way.")
	}
	fmt.Fprintln(p)
}

// entry is a word and what belongs to it, wrapped beside it.
func (p page) entry(name, text string) {
	const indent = 11
	for i, line := range wrap(text, columns-indent) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(p, "%-*s%s\n", indent, name, line)
	}
}

func (p page) facts(r *Report) {
	p.entry("system", r.System.OS+" "+r.System.Kernel+" "+r.System.Arch)
	if r.System.OS == "linux" {
		p.entry("io_uring", fmt.Sprintf("kernel.io_uring_disabled=%s, kernel.io_uring_group=%s (this process is %sin it)",
			countText(r.System.IOURingDisabled), countText(r.System.IOURingGroup), unless(r.Process.InIOURingGroup, "not ")))
		p.entry("process", processText(&r.Process))
	}
	p.entry("container", containerText(&r.Container))
	l := &r.Limits
	p.entry("limits", fmt.Sprintf("memlock %s (hard %s), nofile %s (hard %s), somaxconn %s, tcp_max_syn_backlog %s",
		bytesText(l.MemlockSoftBytes), bytesText(l.MemlockHardBytes), countText(l.NofileSoft), countText(l.NofileHard),
		countText(l.Somaxconn), countText(l.TCPMaxSynBacklog)))
	p.entry("", descriptorsText(&r.Descriptors))
	cgroup := "no limit"
	if r.CPU.CgroupCPUs > 0 {
		cgroup = strconv.FormatFloat(r.CPU.CgroupCPUs, 'f', -1, 64)
	}
	p.entry("cpus", fmt.Sprintf("%d online, %d allowed, GOMAXPROCS %d, cgroup %s", r.CPU.Online, r.CPU.Affinity, r.CPU.GOMAXPROCS, cgroup))
	p.entry("memory", "cgroup "+strings.ReplaceAll(bytesText(l.CgroupMemoryBytes), "unlimited", "no limit")+"; "+memoryText(&r.Memory))
	fmt.Fprintln(p)
}

func descriptorsText(d *Descriptors) string {
	if d.Limit == 0 {
		return "descriptors without a limit"
	}
	says := fmt.Sprintf("descriptors %d: about %d the server's own, %d in reserve, %d connections", d.Limit, d.Own, d.Reserve, d.Connections)
	if d.DataDirPartitions > 0 {
		says += fmt.Sprintf("; with --data-dir %d files (%d partitions) and %d connections", d.DataDirFiles, d.DataDirPartitions, d.DataDirConnections)
	}
	return says
}

func memoryText(m *Memory) string {
	part := func(n int64) string { return bytesText(&n) }
	return fmt.Sprintf("%s: program %s, rings and receive buffers %s, reserve %s, %d connections %s, frames %s, held %s, responses %s, records %s",
		m.says, part(m.Base), part(m.Engines), part(m.Reserve), m.Connections, part(m.Conns), part(m.Requests), part(m.Held), part(m.Responses), part(m.Handler))
}

func processText(p *Process) string {
	seccomp := p.Seccomp
	if p.SeccompFilters != nil && *p.SeccompFilters > 0 {
		seccomp += fmt.Sprintf(" (%d)", *p.SeccompFilters)
	}
	lsm := p.LSM
	if lsm == "" {
		lsm = "none"
	}
	return fmt.Sprintf("uid %d, gid %d, seccomp %s, no_new_privs %s, LSM label %s, CAP_SYS_ADMIN %s, CAP_IPC_LOCK %s",
		p.UID, p.GID, seccomp, yesNo(p.NoNewPrivs), lsm, yesNo(p.CapSysAdmin), yesNo(p.CapIPCLock))
}

func containerText(c *Container) string {
	if !c.Detected {
		return "no sign of one"
	}
	return c.Runtime + ": " + strings.Join(c.Hints, ", ")
}

func (p page) engines(r *Report) {
	for _, e := range r.Engines {
		says := "can't run: "
		if e.Usable {
			says = "can run: "
		}
		p.entry(e.Name, says+e.Says)
	}
	why := "the best that can run"
	if r.Auto.Engine != string(kring.EngineURing) {
		why = r.Auto.Why
	}
	p.entry("auto", r.Auto.Engine+", "+why)
	fmt.Fprintln(p)
}

// Widths of the table's columns.
const (
	nameWidth   = 25
	sinceWidth  = 6
	probedWidth = 17
	answerWidth = 14
)

func (p page) features(all []uring.Feature, verbose bool) {
	if len(all) == 0 {
		return
	}
	if ring := all[0]; ring.Answer != uring.Yes { // then nobody was there to ask for the rest
		p.entry("features", fmt.Sprintf("none of the %d could be asked for: %s", len(all), ring.Detail))
		return
	}
	row := func(cells ...any) {
		p.row(fmt.Sprintf("  %-*s%-*s%-*s%-*v", nameWidth, cells[0], sinceWidth, cells[1], probedWidth, cells[2], answerWidth, cells[3]), cells[4].(string))
	}
	row("feature", "since", "asked by", "answer", "without it")
	var shown, hidden []uring.Feature
	for _, g := range []struct {
		title string
		which func(uring.Feature) bool
		last  func(uring.Feature) string
	}{
		{"Needed:", func(f uring.Feature) bool { return f.Required }, without},
		{"Used where it is there:", func(f uring.Feature) bool { return f.Used && !f.Required }, without},
		{"Off by default; switched on by kring serve --uring:", func(f uring.Feature) bool { return len(f.Settings) > 0 }, switches()},
		{"Never used by kring:", never, without},
	} {
		group := slices.DeleteFunc(slices.Clone(all), func(f uring.Feature) bool { return !g.which(f) })
		if len(group) > 0 && never(group[0]) && !verbose {
			hidden = group
			continue
		}
		if len(group) > 0 {
			fmt.Fprintln(p, g.title)
		}
		for _, f := range group {
			row(f.Name, f.Since, f.Probed, f.Answer, g.last(f))
		}
		shown = append(shown, group...)
	}
	if len(hidden) > 0 {
		fmt.Fprintf(p, "%d more that kring never uses: kring doctor --verbose lists them.\n", len(hidden))
	}
	p.details(shown)
}

func never(f uring.Feature) bool { return !f.Used && len(f.Settings) == 0 }

func without(f uring.Feature) string { return f.Without }

// switches says how to switch a feature on, as far as the kernel has it.
func switches() func(uring.Feature) string {
	locked := map[string]bool{}
	for _, s := range uring.Settings() {
		locked[s.Key] = s.Locked
	}
	return func(f uring.Feature) string {
		if f.Answer != uring.Yes {
			return f.Without
		}
		var ways []string
		for _, s := range f.Settings {
			way := strings.ReplaceAll(s, ",", " with ")
			if key, _, _ := strings.Cut(s, "="); locked[key] {
				way += " --wait locked"
			}
			ways = append(ways, way)
		}
		return strings.Join(ways, " or ")
	}
}

// row is the first columns of a table, and the last, wrapped.
func (p page) row(first, last string) {
	for _, line := range wrap(last, columns-len(first)) {
		fmt.Fprintln(p, first+line)
		first = strings.Repeat(" ", len(first))
	}
}

// details says why answers are not yes, each reason once.
func (p page) details(all []uring.Feature) {
	var reasons []string
	names := map[string][]string{}
	for _, f := range all {
		if f.Detail == "" {
			continue
		}
		if names[f.Detail] == nil {
			reasons = append(reasons, f.Detail)
		}
		names[f.Detail] = append(names[f.Detail], f.Name)
	}
	if len(reasons) > 0 {
		fmt.Fprintln(p)
	}
	for _, reason := range reasons {
		p.entry("why not", strings.Join(names[reason], ", ")+": "+reason)
	}
}

// wrap breaks text at spaces; a word longer than a line stays whole.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func countText(n *int64) string {
	switch {
	case n == nil:
		return "unknown"
	case *n == Unlimited:
		return "none" // of a group and of a limit alike
	}
	return strconv.FormatInt(*n, 10)
}

func bytesText(n *int64) string {
	switch {
	case n == nil:
		return "unknown"
	case *n == Unlimited:
		return "unlimited"
	}
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if *n >= u.size {
			return strconv.FormatFloat(math.Round(float64(*n)/float64(u.size)*10)/10, 'f', -1, 64) + " " + u.name
		}
	}
	return strconv.FormatInt(*n, 10) + " bytes"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func unless(b bool, text string) string {
	if b {
		return ""
	}
	return text
}
