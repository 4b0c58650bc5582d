package main

import (
	"fmt"

	"kring/bench/goals"
)

// goalsCmd writes the table of goals.
type goalsCmd struct {
	Results []string `arg:"" type:"existingfile" help:"Raw results, files .jsonl, the newest last."`
}

func (c *goalsCmd) Run() error {
	var sources []goals.Source
	for _, file := range c.Results {
		res, err := readResults(file)
		if err != nil {
			return err
		}
		sources = append(sources, goals.Source{File: file, Results: res})
	}
	fmt.Print(goals.Table(sources))
	return nil
}
