// Command conformance writes docs/CONFORMANCE.md: what Kafka's own tests
// assert of a network layer (rows.txt), which test here asserts it, on which
// engines, and what differs from Apache Kafka (differences.txt). A test names the
// rows it covers in a line of its comment: "Kafka: SS-19, CQ-04."
//
// usage: go run ./internal/conformance [-check]
//
// It fails when a row has neither a test nor a reason why none applies, when
// it has both, and when a test names a row that does not exist. With -check it
// writes nothing and fails when the committed file is out of date.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"kring/internal/lint"
)

//go:embed rows.txt
var rowsText string

const (
	document = "docs/CONFORMANCE.md"
	// differencesFile is written by hand and held against both servers by
	// scripts/judge.sh.
	differencesFile = "internal/clients/judge/differences.txt"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail when "+document+" is out of date")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(check bool) error {
	root, err := lint.Root()
	if err != nil {
		return err
	}
	tree, err := lint.Load(root)
	if err != nil {
		return err
	}
	sections, err := parseRows(rowsText)
	if err != nil {
		return err
	}
	differences, err := readDifferences(filepath.Join(root, differencesFile))
	if err != nil {
		return err
	}
	faults := assign(sections, collect(tree))
	text := render(sections, differences)
	path := filepath.Join(root, document)
	if !check {
		return errors.Join(append(faults, os.WriteFile(path, text, 0o644))...)
	}
	committed, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(committed, text) {
		err = errors.New(document + " is out of date: run scripts/conformance-doc.sh and commit it")
	}
	return errors.Join(append(faults, err)...)
}
