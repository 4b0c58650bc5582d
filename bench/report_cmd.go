package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"kring/bench/compare"
	"kring/bench/report"
)

// reportCmd writes the reports of a run again.
type reportCmd struct {
	Results string `arg:"" type:"existingfile" help:"Raw results, a file .jsonl."`
}

func (c *reportCmd) Run() error {
	res, err := readResults(c.Results)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(strings.TrimSuffix(c.Results, ".gz"), ".jsonl")
	if _, err := writeReports(res, base); err != nil {
		return err
	}
	fmt.Println(base + ".html")
	return nil
}

// writeReports writes base.md and base.html, and gives the former.
func writeReports(res *compare.Results, base string) (text string, err error) {
	text = compare.Markdown(res, base)
	if err := os.WriteFile(base+".md", []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("writing the report: %w", err)
	}
	page, err := report.HTML(res, base)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(base+".html", page, 0o644); err != nil {
		return "", fmt.Errorf("writing the report: %w", err)
	}
	return text, nil
}

func readResults(file string) (*compare.Results, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("raw results: %w", err)
	}
	defer f.Close()
	var raw io.Reader = f
	if strings.HasSuffix(file, ".gz") { // as in bench/raw
		if raw, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	res, err := compare.Read(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(res.Records) == 0 {
		return nil, fmt.Errorf("%s holds no run: give the file .jsonl of a run", file)
	}
	return res, nil
}

// compareCmd finds regressions.
type compareCmd struct {
	Old string `arg:"" type:"existingfile" help:"Raw results of before, a file .jsonl."`
	New string `arg:"" type:"existingfile" help:"Raw results of now."`
}

// errRegressed makes the exit status; the table has said why.
var errRegressed = errors.New("kring became worse")

func (c *compareCmd) Run() error {
	before, err := readResults(c.Old)
	if err != nil {
		return err
	}
	after, err := readResults(c.New)
	if err != nil {
		return err
	}
	changes := compare.Changes(before, after)
	if len(changes) == 0 {
		return errors.New("the two runs have no scenario and contestant of kring in common")
	}
	fmt.Print(compare.ChangesMarkdown(changes))
	worse := 0
	for i := range changes {
		if changes[i].Regression() {
			worse++
		}
	}
	if worse > 0 {
		return fmt.Errorf("%w in %d of %d figures", errRegressed, worse, len(changes))
	}
	return nil
}
