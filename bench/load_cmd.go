package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"kring/bench/compare"
	"kring/bench/load"
)

// loadCmd is the generator for people.
type loadCmd struct {
	Address    string          `arg:"" help:"The server's host:port."`
	Kind       string          `default:"frames" enum:"${kinds}" help:"What to send: ${enum}."`
	Payload    int             `default:"128" help:"Bytes of a frame behind its size, or of a record's value."`
	Sizes      string          `help:"Frame sizes by share instead: WEIGHT*BYTES,… Each connection has one of them."`
	Topic      string          `default:"kring-bench" help:"Kafka topic."`
	Conns      int             `short:"c" default:"1" help:"Busy connections."`
	Idle       int             `help:"Idle connections beside them."`
	Churn      float64         `help:"Connections per second that are opened beside them, ask once and close."`
	Slow       int             `help:"Connections beside them that ask and never read."`
	Depth      int             `short:"d" default:"1" help:"Requests in flight per connection (closed loop)."`
	TLS        bool            `name:"tls" help:"Speak TLS 1.3, by whatever certificate the server has."`
	Handshakes load.Handshakes `enum:",full,resumed" default:"" help:"Make each request a TLS connection of its own: full or resumed handshakes."`
	Rate       float64         `short:"r" help:"Requests per second over all connections (open loop: latency from the intended send time)."`
	WarmUp     time.Duration   `default:"500ms" help:"Time before the measured window."`
	Duration   time.Duration   `short:"t" default:"5s" help:"The measured window."`
	Threads    int             `default:"1" help:"Generator threads, and so cores that it was given."`
	Spin       bool            `help:"Poll without sleeping."`
	Portable   bool            `help:"Use Go's net instead of epoll."`
	Verify     bool            `help:"Compare every byte of every response; else one receive of 16 after the warm-up."`
	JSON       bool            `help:"Print the result as JSON, with its histogram."`
}

func (c *loadCmd) Run() error {
	r, err := load.Run(load.Config{
		Address: c.Address, Kind: load.Kind(c.Kind), PayloadBytes: payloadFlag(c.Payload), Topic: c.Topic,
		Conns: c.Conns, IdleConns: c.Idle, Sizes: c.Sizes, ChurnRate: c.Churn, SlowConns: c.Slow, Depth: c.Depth, Rate: c.Rate,
		TLS: c.TLS || c.Handshakes != "", Handshakes: c.Handshakes,
		WarmUp: c.WarmUp, Duration: c.Duration, Threads: c.Threads, Spin: c.Spin, Portable: c.Portable, Verify: c.Verify,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	printResult(r)
	return nil
}

// payloadFlag turns a payload of 0 bytes into what load.Config calls it.
func payloadFlag(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func printResult(r *load.Result) {
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	line := func(name string, s load.Summary) {
		fmt.Printf("%-11s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  p99.99 %.1f  max %.1f µs\n",
			name, us(s.P50), us(s.P90), us(s.P99), us(s.P999), us(s.P9999), us(s.Max))
	}
	fmt.Printf("%.0f requests/s (%d in %v)", r.Rate, r.Completed, r.Window)
	if r.Config.Rate > 0 {
		fmt.Printf(", %.1f %% of the asked %.0f/s", r.Achieved*100, r.Config.Rate)
	}
	fmt.Printf("; generator busy %.0f %% of a core\n", r.GeneratorCPU*100)
	line("latency", r.Latency)
	if r.Service != nil {
		line("service", *r.Service)
		line("send delay", *r.SendDelay)
	}
	if k := r.Company; k != nil && *k != (load.Company{}) {
		fmt.Printf("beside it   %d connections churned (%d failed), %d bytes from those that never read (%d ended)\n",
			k.Churned, k.ChurnFailed, k.SlowBytes, k.SlowEnded)
	}
	if !r.Valid() {
		fmt.Println("INVALID:", strings.Join(r.Invalid, "; "))
	}
}

// generateCmd is the generator as a process of a comparison. It reads a
// load.Config as a line of JSON, says compare.LineBegin and LineEnd at the ends
// of the window and waits for a line after each, ends the window at
// compare.LineCut, and writes the result as JSON.
type generateCmd struct{}

func (generateCmd) Run() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	var c load.Config
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	cut, goOn := make(chan struct{}), make(chan struct{})
	go listen(in, cut, goOn)
	c.Cut = cut
	c.Boundary = func(begin bool) {
		if begin {
			fmt.Print(compare.LineBegin)
		} else {
			fmt.Print(compare.LineEnd)
		}
		<-goOn
	}
	r, err := load.Run(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// listen hears what a comparison says. One that is gone needs no answer.
func listen(in *bufio.Reader, cut, goOn chan struct{}) {
	defer close(goOn)
	for isCut := false; ; {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return
		case line != compare.LineCut:
			goOn <- struct{}{}
		case !isCut:
			isCut = true
			close(cut)
		}
	}
}
