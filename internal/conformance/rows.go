package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// section is a suite of Kafka's, or several small ones.
type section struct {
	title string
	rows  []*row
}

// row is one case.
type row struct {
	id      string
	name    string // what it is called there
	asserts string
	reason  string // why no test of ours can have it; "" if one can
	tests   []test
}

// parseRows reads rows.txt.
func parseRows(text string) ([]*section, error) {
	var all []*section
	seen := map[string]bool{}
	for number, line := range strings.Split(text, "\n") {
		if title, heading := strings.CutPrefix(line, "## "); heading {
			all = append(all, &section{title: title})
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) < 3 || len(parts) > 4 || len(all) == 0 || seen[parts[0]] {
			return nil, fmt.Errorf("rows.txt:%d: want \"id | name | what it asserts [| why it does not apply]\", an id once: %q", number+1, line)
		}
		seen[parts[0]] = true
		r := &row{id: parts[0], name: parts[1], asserts: parts[2]}
		if len(parts) == 4 {
			r.reason = parts[3]
		}
		last := all[len(all)-1]
		last.rows = append(last.rows, r)
	}
	return all, nil
}

// assign gives every row its tests, and says which rows and tests are at fault.
func assign(sections []*section, tests []test) (faults []error) {
	rows := map[string]*row{}
	for _, s := range sections {
		for _, r := range s.rows {
			rows[r.id] = r
		}
	}
	for _, t := range tests {
		for _, id := range t.ids {
			switch r := rows[id]; {
			case r != nil:
				r.tests = append(r.tests, t)
			case !otherID.MatchString(id):
				faults = append(faults, fmt.Errorf("%s: %s names %s, which internal/conformance/rows.txt does not have", t.dir, t.name, id))
			}
		}
	}
	var neither, both []string
	for _, s := range sections {
		for _, r := range s.rows {
			switch {
			case len(r.tests) == 0 && r.reason == "":
				neither = append(neither, r.id)
			case len(r.tests) > 0 && r.reason != "":
				both = append(both, r.id)
			}
		}
	}
	if len(neither) > 0 {
		faults = append(faults, fmt.Errorf("without a test: %s: write one, or say in internal/conformance/rows.txt why it does not apply", strings.Join(neither, " ")))
	}
	if len(both) > 0 {
		faults = append(faults, fmt.Errorf("with a test and a reason why none applies: %s: take the reason out of internal/conformance/rows.txt", strings.Join(both, " ")))
	}
	return faults
}

// difference is a question that Apache Kafka and kring answer differently.
type difference struct{ asked, kafka, kring, reason string }

// readDifferences reads the judge's list: "question | Kafka | kring | reason".
func readDifferences(path string) (all []difference, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) != 4 {
			return nil, fmt.Errorf("%s:%d: want \"question | Apache Kafka | kring | reason\": %q", path, number+1, line)
		}
		all = append(all, difference{parts[0], parts[1], parts[2], parts[3]})
	}
	return all, nil
}
