package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

type comparing struct {
	list, write string
	verbose     bool
}

// difference is a question, in all its variants, that is answered differently.
type difference struct {
	family, kafka, kring string
	variants             []string
}

// asked names a difference: its family and its variants.
func (d difference) asked() string {
	if len(d.variants) == 1 && d.variants[0] == "" {
		return d.family
	}
	return d.family + " (" + strings.Join(ranges(d.variants), ", ") + ")"
}

// compare puts every question to every server. The first is the judge.
func compare(servers []*server, how comparing) error {
	if len(servers) < 2 {
		return errors.New("compare: want a judge and at least one other")
	}
	if err := prepare(servers); err != nil {
		return err
	}
	listed, err := readList(how.list)
	if err != nil && (how.write == "" || !errors.Is(err, os.ErrNotExist)) {
		return err
	}
	questions, err := transcript(servers)
	if err != nil {
		return err
	}
	var found []*difference
	var faults []error
	for _, q := range questions {
		outcomes, err := putAll(servers, q, listed)
		if err != nil {
			return err
		}
		if how.verbose {
			fmt.Printf("%s %s: %s\n", q.family, q.variant, strings.Join(outcomes, " | "))
		}
		for i, s := range servers[2:] {
			if outcomes[i+2] != outcomes[1] {
				faults = append(faults, fmt.Errorf("%s %s: %s says %q, %s says %q", q.family, q.variant, servers[1].name, outcomes[1], s.name, outcomes[i+2]))
			}
		}
		if outcomes[0] != outcomes[1] {
			found = add(found, q, outcomes[0], outcomes[1])
		}
	}
	fmt.Printf("%d questions, %d answered differently, in %d ways\n", len(questions), total(found), len(found))
	if how.write != "" {
		return errors.Join(append(faults, writeList(how.write, listed, found))...)
	}
	return errors.Join(append(faults, against(how.list, listed, found)...)...)
}

// putAll puts a question to all servers at once.
func putAll(servers []*server, q question, listed map[string]string) ([]string, error) {
	patience := answerWithin
	for line := range listed {
		if asked, rest, _ := strings.Cut(line, " | "); strings.HasPrefix(asked, q.family) && strings.HasPrefix(rest, "silent") {
			patience = silentAfter
		}
	}
	outcomes, errs := make([]string, len(servers)), make([]error, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		within := answerWithin
		if i == 0 {
			within = patience
		}
		all.Go(func() {
			if outcomes[i], errs[i] = s.put(q, within); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %s %s: %w", s.name, q.family, q.variant, errs[i])
			}
		})
	}
	all.Wait()
	return outcomes, errors.Join(errs...)
}

func add(found []*difference, q question, kafka, kring string) []*difference {
	for _, d := range found {
		if d.family == q.family && d.kafka == kafka && d.kring == kring {
			d.variants = append(d.variants, q.variant)
			return found
		}
	}
	return append(found, &difference{q.family, kafka, kring, []string{q.variant}})
}

func total(found []*difference) (n int) {
	for _, d := range found {
		n += len(d.variants)
	}
	return n
}

// ranges says v0-v3 instead of v0, v1, v2, v3.
func ranges(variants []string) (out []string) {
	for i := 0; i < len(variants); {
		n := 1
		from, ok := versionOf(variants[i])
		for ok && i+n < len(variants) {
			if v, is := versionOf(variants[i+n]); !is || v != from+n {
				break
			}
			n++
		}
		if n > 1 {
			out = append(out, variants[i]+"-"+variants[i+n-1])
		} else {
			out = append(out, variants[i])
		}
		i += n
	}
	return out
}

func versionOf(variant string) (int, bool) {
	digits, is := strings.CutPrefix(variant, "v")
	n, err := strconv.Atoi(digits)
	return n, is && err == nil
}

// against holds what was found against the list.
func against(path string, listed map[string]string, found []*difference) (faults []error) {
	listed = maps.Clone(listed)
	for _, d := range found {
		key := d.asked() + " | " + d.kafka + " | " + d.kring
		if reason := listed[key]; reason == "" || reason == "?" {
			faults = append(faults, fmt.Errorf("not listed in %s with a reason: %s", path, key))
		}
		delete(listed, key)
	}
	for key := range listed {
		faults = append(faults, fmt.Errorf("listed in %s, but not so any more: %s", path, key))
	}
	return faults
}

// readList reads the wanted differences: question | Kafka | kring | reason.
func readList(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " | ")
		if at < 0 || strings.Count(line, " | ") != 3 {
			return nil, fmt.Errorf("%s:%d: want \"question | Apache Kafka | kring | reason\"", path, number+1)
		}
		listed[line[:at]] = line[at+3:]
	}
	return listed, nil
}

// writeList writes what was found, with the reasons that were known.
func writeList(path string, listed map[string]string, found []*difference) error {
	lines := []string{}
	for _, d := range found {
		key := d.asked() + " | " + d.kafka + " | " + d.kring
		reason := listed[key]
		if reason == "" {
			reason = "?"
		}
		lines = append(lines, key+" | "+reason)
	}
	slices.Sort(lines)
	return os.WriteFile(path, []byte(listHead+strings.Join(lines, "\n")+"\n"), 0o644)
}

const listHead = `# Questions of scripts/judge.sh that Apache Kafka and kring answer differently,
# each with the reason why that is wanted: question | Apache Kafka | kring |
# reason. The judge fails on a difference that is not here, and on a line that is
# not so any more. scripts/judge.sh -w writes the file anew and keeps reasons.

`
