package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"kring/bench/compare"
)

// overviewCmd writes the table that the README has.
type overviewCmd struct {
	Results string `arg:"" type:"existingfile" help:"Raw results, a file .jsonl or .jsonl.gz."`
	Into    string `type:"existingfile" help:"File whose part between the comments gets the table. Default: print it."`
}

// overviewPart is where a page has the table: between two comments, the first of
// which names the raw results.
var overviewPart = regexp.MustCompile(`(?s)(<!-- bench overview )(\S+)( -->\n)(.*?)(<!-- end of overview -->)`)

func (c *overviewCmd) Run() error {
	res, err := readResults(c.Results)
	if err != nil {
		return err
	}
	table := compare.Overview(res, c.Results)
	if c.Into == "" {
		fmt.Print(table)
		return nil
	}
	page, err := os.ReadFile(c.Into)
	if err != nil {
		return fmt.Errorf("--into: %w", err)
	}
	at := overviewPart.FindSubmatchIndex(page)
	if at == nil {
		return errors.New("--into: the file has no <!-- bench overview FILE --> and <!-- end of overview -->, which the table goes between")
	}
	text := string(page[:at[4]]) + filepath.Base(c.Results) + string(page[at[6]:at[7]]) + table + string(page[at[10]:])
	if err := os.WriteFile(c.Into, []byte(text), 0o644); err != nil {
		return fmt.Errorf("--into: %w", err)
	}
	return nil
}
