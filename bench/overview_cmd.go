package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"kring/bench/compare"
	"kring/bench/report"
)

// overviewCmd writes the table and the chart that the README has.
type overviewCmd struct {
	Results string `arg:"" type:"existingfile" help:"Raw results, a file .jsonl or .jsonl.gz."`
	Into    string `type:"existingfile" help:"File whose part between the comments gets the chart and the table. Default: print the table."`
	Chart   string `default:"bench" help:"Folder of the chart's files, overview.svg and overview-narrow.svg, from the folder of the file that gets them."`
}

// overviewCharts are the chart's files, and how wide each is.
var overviewCharts = map[string]report.Columns{"overview.svg": report.Wide, "overview-narrow.svg": report.Narrow}

// overviewText is what stands between the comments: the chart in two widths, then the
// table.
func overviewText(res *compare.Results, results, charts string) string {
	return fmt.Sprintf(`<picture>
<source media="(max-width: 640px)" srcset="%[1]s/overview-narrow.svg">
<img src="%[1]s/overview.svg" alt="Requests per CPU second of every contestant in every scenario, relative to the better C floor; the table has the figures.">
</picture>

`, filepath.ToSlash(charts)) + compare.Overview(res, results)
}

// overviewPart is where a page has them: between two comments, the first of
// which names the raw results.
var overviewPart = regexp.MustCompile(`(?s)(<!-- bench overview )(\S+)( -->\n)(.*?)(<!-- end of overview -->)`)

func (c *overviewCmd) Run() error {
	res, err := readResults(c.Results)
	if err != nil {
		return err
	}
	if c.Into == "" {
		fmt.Print(compare.Overview(res, c.Results))
		return nil
	}
	page, err := os.ReadFile(c.Into)
	if err != nil {
		return fmt.Errorf("--into: %w", err)
	}
	at := overviewPart.FindSubmatchIndex(page)
	if at == nil {
		return errors.New("--into: the file has no <!-- bench overview FILE --> and <!-- end of overview -->, which the chart and the table go between")
	}
	text := string(page[:at[4]]) + filepath.Base(c.Results) + string(page[at[6]:at[7]]) +
		overviewText(res, c.Results, c.Chart) + string(page[at[10]:])
	if err := writeCharts(res, filepath.Join(filepath.Dir(c.Into), c.Chart)); err != nil {
		return err
	}
	if err := os.WriteFile(c.Into, []byte(text), 0o644); err != nil {
		return fmt.Errorf("--into: %w", err)
	}
	return nil
}

// writeCharts writes the chart's files.
func writeCharts(res *compare.Results, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("--chart: %w", err)
	}
	for name, columns := range overviewCharts {
		picture, err := report.Overview(res, columns)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
			return fmt.Errorf("--chart: %w", err)
		}
	}
	return nil
}
