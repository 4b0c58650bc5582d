package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kring/bench/contestant"
	"kring/bench/contract"
)

// contractCmd measures what connections may expect that somebody else disturbs.
type contractCmd struct {
	Quick    bool          `help:"Under a minute: shorter windows and stalls, and as many rounds."`
	Scenario []string      `default:"*" help:"Scenarios to run: slow, burst, handshakes, stall, files; patterns."`
	Engine   []string      `default:"io_uring,epoll,portable" enum:"io_uring,epoll,portable" help:"Engines: ${enum}."`
	Dispatch string        `default:"pool" enum:"pool,inline" help:"Where handlers run, in slow and burst: ${enum}."`
	Rounds   int           `help:"Rounds. Default 5, quick 3."`
	Window   time.Duration `help:"Measured time of each run that nothing else ends. Default 1s, quick 400ms."`
	Stall    time.Duration `help:"How long handlers stall. Default 5s, quick 1s."`
	Clients  int           `default:"2000" help:"Clients of which one in a hundred never reads."`
	Burst    int           `default:"10000" help:"Connects of a burst."`
	Shakes   int           `default:"2000" help:"TLS handshakes of a burst."`
	Pin      bool          `default:"true" negatable:"" help:"Pin server and generators to processors of their own."`
	GiveWay  bool          `default:"true" negatable:"" help:"Have who disturbs take only what others leave of the processor. Without it he competes for it, which is for machines that are never quiet: the measuring threads go first either way."`
	Dir      string        `type:"existingdir" default:"." help:"Where to put a file to be read cold; it must be on a disk."`
	Size     int64         `default:"67108864" help:"Bytes of that file."`
	Out      string        `help:"Folder for the raw results. Default bench/results."`
}

func (c *contractCmd) Run() error {
	o, err := c.options()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	begun := time.Now()
	res, raw, err := contract.Run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println(res.Table())
	fmt.Fprintf(os.Stderr, "\n%v; raw results: %s\n", time.Since(begun).Round(time.Second), raw)
	if n := res.Missed(); n > 0 {
		return fmt.Errorf("%d goals were missed", n)
	}
	return nil
}

func (c *contractCmd) options() (contract.Options, error) {
	root := contestant.FindRoot()
	scenarios, err := contract.Select(c.Scenario)
	if err != nil {
		return contract.Options{}, err
	}
	rounds, window, stall := 5, time.Second, 5*time.Second
	if c.Quick {
		rounds, window, stall = 3, 400*time.Millisecond, time.Second
	}
	return contract.Options{
		Root: root, Scenarios: scenarios, Engines: c.Engine, Dispatch: c.Dispatch, Clients: c.Clients, Fill: 700 * time.Millisecond, Burst: c.Burst, Shakes: c.Shakes, Pin: c.Pin, GiveWay: c.GiveWay, Dir: c.Dir, FileBytes: c.Size,
		Rounds: cmp.Or(c.Rounds, rounds), Window: cmp.Or(c.Window, window), Stall: cmp.Or(c.Stall, stall),
		Out: cmp.Or(c.Out, filepath.Join(root, "bench", "results")), Progress: os.Stderr,
	}, nil
}

// judgedCmd is a server that contract measures.
type judgedCmd struct {
	Engine, Dispatch                     string
	Processors, Handlers, QueuedRequests int
	File                                 string
	OnTheLoop                            bool
	TLSCert                              string `name:"tls-cert"`
	TLSKey                               string `name:"tls-key"`
}

func (c *judgedCmd) Run() error {
	return contract.Serve(contract.ServeConfig(*c), contestant.Input(), os.Stdout)
}

// accompanyCmd is who disturbs.
type accompanyCmd struct {
	Kind, Address, File string
	Conns               int
	Ask, GiveWay        bool
}

func (c *accompanyCmd) Run() error {
	return contract.Accompany(contract.CompanyConfig{Kind: c.Kind, Address: c.Address, Conns: c.Conns, Ask: c.Ask, File: c.File, GiveWay: c.GiveWay}, contestant.Input(), os.Stdout)
}

// filesCmd is the scenario files alone.
type filesCmd struct {
	Engine string        `default:"io_uring" enum:"io_uring,epoll,portable" help:"The engine: ${enum}."`
	Dir    string        `type:"existingdir" default:"." help:"Where to put a file; it must be on a disk."`
	Size   int64         `default:"67108864" help:"Bytes of the file, all of which each fetch asks for in pieces of 1 MiB."`
	Rounds int           `default:"5" help:"Rounds; each measures all ways once."`
	Window time.Duration `default:"2s" help:"Measured time of each."`
}

func (c *filesCmd) Run() error {
	all := contractCmd{
		Scenario: []string{"files"}, Clients: 2000, Burst: 10_000, Shakes: 2000, Engine: []string{c.Engine}, Dispatch: "inline", Rounds: c.Rounds, Window: c.Window,
		Pin: true, GiveWay: true, Dir: c.Dir, Size: c.Size,
	}
	return all.Run()
}
