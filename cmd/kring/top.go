package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"kring/internal/top"
)

// topCmd is `kring top`.
type topCmd struct {
	Side   sideFlags     `embed:""`
	Every  time.Duration `placeholder:"DURATION" default:"2s" help:"How often to ask the server. Default: ${default}."`
	Sort   string        `placeholder:"KEY" default:"requests_per_second" help:"What to sort by at first: {{sort_keys}}. Default: ${default}."`
	Search string        `placeholder:"TEXT" help:"Show only clients with this text in their id, principal, address, software or listener."`
}

// Help is the text above the flags.
func (topCmd) Help() string {
	return `Shows who is connected to a running kring, by rate, latency or bytes, and why a client is muted. It asks the side door of kring serve (--http). If the server goes away, it says so and goes on when it is back. Without a terminal it prints the list once.

Keys: q quit; r requests, l latency, i bytes in, o bytes out, b both, f in flight, d idle, a age, u queued bytes: sort by it; s the next of these; R reverse; / search, esc ends it; m only muted clients; c connections that have ended; space pause; arrows and page keys scroll.`
}

// Validate checks the flags; kong calls it.
func (c *topCmd) Validate() error {
	if c.Every < 100*time.Millisecond {
		return fmt.Errorf("--every %s: give 100ms or more", c.Every)
	}
	return nil
}

// Run shows the screen until q, or prints it once.
func (c *topCmd) Run(p process) error {
	if err := checkSort(c.Sort); err != nil {
		return err
	}
	m := top.New(c.Side.side().snapshot, c.Side.HTTP, c.Every).Sorted(c.Sort, c.Search)
	out, is := p.stdout.(*os.File)
	if !is || !term.IsTerminal(out.Fd()) || !term.IsTerminal(os.Stdin.Fd()) {
		return topOnce(p.stdout, m)
	}
	_, err := tea.NewProgram(m, tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

const (
	// onceOver is what rates are measured over where there is no terminal.
	onceOver = time.Second
	// onceRows and onceColumns are the size of the list then.
	onceRows, onceColumns = 1000, 160
)

// topOnce prints one snapshot.
func topOnce(w io.Writer, m top.Model) error {
	columns := onceColumns
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		columns = n
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*sidePatience)
	defer cancel()
	m, err := m.Once(ctx, columns, onceRows, onceOver)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, m.Text())
	return err
}
