package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"kring/bench/load"
	"kring/bench/stats"
)

// scrapeCmd loads a server evenly, and scrapes it in one of each two slices of the time. In the
// other one it asks for /healthz at the same moments, so that what asking costs is in both. Which
// of the two comes first is drawn, so that nothing that recurs can be taken for the scrapes.
type scrapeCmd struct {
	Address string        `arg:"" help:"The server's host:port."`
	HTTP    string        `required:"" name:"http" help:"Its side door: host:port, or unix:PATH."`
	Conns   int           `short:"c" default:"64" help:"Busy connections."`
	Rate    float64       `short:"r" default:"10000" help:"Requests per second over all of them."`
	Pairs   int           `default:"100" help:"Slices with scrapes, and as many without."`
	Slice   time.Duration `default:"1s" help:"How long one is."`
	Every   time.Duration `default:"1s" help:"The time from a scrape to the next one, inside a slice."`
}

// askPatience is how long an answer of the side door may take.
const askPatience = 10 * time.Second

// scraper asks at the moments of a timetable.
type scraper struct {
	cmd     *scrapeCmd
	scraped []bool // by slice
	began   chan time.Time
	over    chan struct{}

	took []float64 // milliseconds, by scrape
	size int64     // of the last one
	err  error
}

func (c *scrapeCmd) Run() error {
	if c.Pairs < 1 || c.Slice <= 0 || c.Every <= 0 || c.Every > c.Slice {
		return errors.New("--pairs, --slice and --every: more than 0, and a slice holds at least one scrape")
	}
	s := &scraper{cmd: c, scraped: make([]bool, 2*c.Pairs), began: make(chan time.Time, 1), over: make(chan struct{})}
	for i := range c.Pairs {
		s.scraped[2*i+rand.IntN(2)] = true
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.err = s.run()
	}()
	r, err := load.Run(load.Config{
		Address: c.Address, Kind: load.ApiVersions3, Conns: c.Conns, Rate: c.Rate,
		WarmUp: time.Second, Duration: time.Duration(2*c.Pairs) * c.Slice, Slice: c.Slice,
		Boundary: func(begin bool) {
			if begin {
				s.began <- time.Now()
			} else {
				close(s.over)
			}
		},
	})
	if err != nil {
		return err
	}
	if <-ended; s.err != nil {
		return fmt.Errorf("scrapes: %w", s.err)
	}
	s.print(r)
	return nil
}

// run asks until the window ends.
func (s *scraper) run() error {
	network, address := "tcp", s.cmd.HTTP
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := new(net.Dialer).DialContext(context.Background(), network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	from := bufio.NewReaderSize(conn, 64<<10)
	began := <-s.began
	for i, scraped := range s.scraped {
		for at := s.cmd.Every / 4; at < s.cmd.Slice; at += s.cmd.Every {
			select {
			case <-time.After(time.Until(began.Add(time.Duration(i)*s.cmd.Slice + at))):
			case <-s.over:
				return nil
			}
			if err := s.ask(conn, from, scraped); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask asks as Prometheus does, and leaves the answer as it came.
func (s *scraper) ask(conn net.Conn, from *bufio.Reader, scraped bool) error {
	path := "/healthz"
	if scraped {
		path = "/metrics"
	}
	began := time.Now()
	if err := conn.SetDeadline(began.Add(askPatience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\nAccept-Encoding: gzip\r\n\r\n", path); err != nil {
		return err
	}
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	size, err := io.Copy(io.Discard, answer.Body)
	if err == nil && scraped {
		s.took, s.size = append(s.took, float64(time.Since(began))/1e6), size
	}
	return err
}

func (s *scraper) print(r *load.Result) {
	fmt.Printf("%d scrapes of %d bytes: median %.1f ms, slowest %.1f ms; %.0f requests/s, generator busy %.0f %% of a core\n",
		len(s.took), s.size, stats.Median(s.took), slices.Max(append(s.took, 0)), r.Rate, r.GeneratorCPU*100)
	for _, q := range []struct {
		name string
		of   func(load.Summary) int64
	}{
		{"p50", func(l load.Summary) int64 { return l.P50 }},
		{"p99", func(l load.Summary) int64 { return l.P99 }},
		{"p99.9", func(l load.Summary) int64 { return l.P999 }},
		{"max", func(l load.Summary) int64 { return l.Max }},
	} {
		var with, without []float64
		for i, scraped := range s.scraped {
			if v := float64(q.of(r.Slices[i])) / 1e3; scraped {
				with = append(with, v)
			} else {
				without = append(without, v)
			}
		}
		ratio := stats.Compare(with, without)
		fmt.Printf("%-6s without %.0f µs, with %.0f µs (medians of slices); with / without %.2f [%.2f, %.2f] (%d pairs, median, 95 %%)\n",
			q.name, stats.Median(without), stats.Median(with), ratio.Median, ratio.Low, ratio.High, ratio.Rounds)
	}
	if !r.Valid() {
		fmt.Println("INVALID:", strings.Join(r.Invalid, "; "))
	}
}
