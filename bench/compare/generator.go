package compare

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Generator generates load in a process of its own, so that neither its garbage
// nor its scheduling is anybody else's.
type Generator struct {
	// Self is this program, which 'generate' makes a generator.
	Self string
	// CPUs it is pinned to; none: all.
	CPUs []int
	// Begin and End, if set, are called at the ends of the window, while nothing
	// is sent.
	Begin, End func() error
	// Cut, if set, ends the window when it is closed, before its time.
	Cut <-chan struct{}
}

// The lines that a generator is told, and those that it says.
const (
	lineGoOn  = "go on\n"
	LineCut   = "cut\n"
	LineBegin = "begin\n"
	LineEnd   = "end\n"
)

// generateLimit bounds what a generator may take beyond its own times.
const generateLimit = 60 * time.Second

// Run generates the load of c and gives what came of it.
func (g *Generator) Run(ctx context.Context, c load.Config) (*load.Result, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.WarmUp+c.Duration+generateLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.Self, "generate")
	said := &strings.Builder{}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	if err := contestant.StartPinned(cmd, g.CPUs); err != nil {
		return nil, fmt.Errorf("compare: starting the generator: %w", err)
	}
	r, err := g.follow(stdin, stdout, append(config, '\n'))
	_ = stdin.Close()
	if wait := cmd.Wait(); wait != nil || err != nil {
		return nil, fmt.Errorf("the generator failed (%v, %v): %s", err, wait, strings.TrimSpace(said.String()))
	}
	return r, nil
}

func (g *Generator) follow(stdin io.Writer, stdout io.Reader, config []byte) (*load.Result, error) {
	if _, err := stdin.Write(config); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	var cutting sync.WaitGroup
	defer cutting.Wait()
	defer close(over)
	if g.Cut != nil {
		cutting.Go(func() {
			select {
			case <-g.Cut:
				_, _ = io.WriteString(stdin, LineCut) // a generator that is gone has been cut
			case <-over:
			}
		})
	}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		switch string(line) {
		case LineBegin:
			err = call(g.Begin)
		case LineEnd:
			err = call(g.End)
		default:
			r := &load.Result{}
			return r, json.Unmarshal(line, r)
		}
		if err == nil {
			_, err = io.WriteString(stdin, lineGoOn)
		}
		if err != nil {
			return nil, err
		}
	}
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}
