package main

import (
	"fmt"
	"os"

	"kring/bench/contestant"
	"kring/bench/load"
)

// holdCmd is a process that holds idle connections: it says that it is ready,
// and to "stats" how many the server ended.
type holdCmd struct {
	Address string `arg:""`
	Conns   int
	Source  int
}

func (c *holdCmd) Run() error {
	h, err := load.Hold(c.Address, c.Conns, c.Source)
	if err != nil {
		return err
	}
	defer h.Close()
	fmt.Println("ready -")
	return contestant.Obey(contestant.Input(), os.Stdout, func(string) contestant.Own {
		return contestant.Own{"ended": float64(h.Ended())}
	})
}
