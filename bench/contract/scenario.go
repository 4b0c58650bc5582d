package contract

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Scenario is one promise.
type Scenario struct {
	Name, About string

	ways   []way // measured on each engine, the quiet one first
	others []way // measured on Go's net, for comparison
	run    func(context.Context, *runner, *Scenario) error
	rows   func(*Results, *Scenario, string) []Row
}

// way is one of the things that are compared.
type way struct {
	name    string
	measure func(context.Context, *runner, *Sample) error
}

// The ways.
const (
	quiet       = "quiet"
	neverRead   = "1 % never read"
	burst       = "burst"
	burstUnseen = "burst at a listener that nobody serves"
	shaking     = "handshakes"
	shaken      = "handshakes at another process on the server's processor"
	byParts     = "fetched by RespondParts"
	onTheLoop   = "read on the processor, as sendfile on a network thread is"
)

// Servers whose rows differ from the others'.
const (
	goNet   = "go-net"
	ioURing = "io_uring"
)

// What is measured beside a disturbance.
const (
	slowPayload    = 64 << 10
	moderateRate   = 4_000 // requests a second, over all connections
	burstClients   = 64
	burstWindowMax = 20 * time.Second
	fileClients    = 16
	fileRate       = 4_000
	warmUp         = 100 * time.Millisecond
)

// Scenarios lists all, in the order of the table.
func Scenarios() []Scenario {
	return []Scenario{
		{
			Name: "slow", About: "2,000 clients, of which 20 ask for 64 KiB again and again and never read",
			ways: []way{{quiet, slow(false)}, {neverRead, slow(true)}}, rows: slowRows,
		},
		{
			Name: "burst", About: "10,000 connects at once beside 64 established connections",
			ways:   []way{{quiet, burstQuiet}, {burst, burstAtServer}, {burstUnseen, burstAtSink}},
			others: []way{{quiet, burstQuiet}, {burst, burstAtServer}}, rows: burstRows,
		},
		{
			Name: "handshakes", About: "2,000 TLS handshakes, 64 under way, beside 64 established plaintext connections",
			ways:   []way{{quiet, shakes(quiet)}, {shaking, shakes(shaking)}, {shaken, shakes(shaken)}},
			others: []way{{quiet, shakes(quiet)}, {shaking, shakes(shaking)}}, rows: shakeRows,
		},
		{
			Name: "stall", About: "the request channel is full for 5 s",
			run: stallAll, rows: stallRows,
		},
		{
			Name: "files", About: "one client fetches a cold file beside 16 connections of the same processor",
			ways: []way{{quiet, files(quiet)}, {byParts, files(byParts)}, {onTheLoop, files(onTheLoop)}}, rows: fileRows,
		},
	}
}

// Select gives those whose name matches one of the patterns.
func Select(patterns []string) ([]Scenario, error) {
	var chosen []Scenario
	var names []string
	for _, s := range Scenarios() {
		names = append(names, s.Name)
		for _, p := range patterns {
			if ok, err := path.Match(p, s.Name); err != nil {
				return nil, fmt.Errorf("--scenario %q: %w", p, err)
			} else if ok {
				chosen = append(chosen, s)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("--scenario: nothing is called %q: choose of %s", patterns, strings.Join(names, ", "))
	}
	return chosen, nil
}

// serverArgs are those of kring, or of Go's net.
func (r *runner) serverArgs(engine string) []string {
	if engine == goNet {
		return []string{"serve", "--server", goNet}
	}
	return []string{"judged", "--engine", engine, "--dispatch", r.Dispatch}
}

// slowClients is one in a hundred.
func (o *Options) slowClients() int { return o.Clients / 100 }

func slow(some bool) func(context.Context, *runner, *Sample) error {
	return func(ctx context.Context, r *runner, x *Sample) error {
		c := load.Config{Conns: r.Clients - r.slowClients(), Rate: moderateRate, WarmUp: r.Fill, Duration: r.Window}
		if some {
			c.SlowConns, c.SlowPayloadBytes = r.slowClients(), slowPayload
		}
		return r.measure(ctx, x, setup{server: r.serverArgs(x.Engine), load: c})
	}
}

// established is the load of the connections that a burst disturbs.
func established(window time.Duration) load.Config {
	return load.Config{Conns: burstClients, Rate: moderateRate, WarmUp: warmUp, Duration: window}
}

func burstQuiet(ctx context.Context, r *runner, x *Sample) error {
	return r.measure(ctx, x, setup{server: r.serverArgs(x.Engine), load: established(r.Window)})
}

func burstAtServer(ctx context.Context, r *runner, x *Sample) error {
	return r.measure(ctx, x, setup{server: r.serverArgs(x.Engine), load: established(burstWindowMax), whole: true,
		beside: func(address string) []string { return burstArgs(address, r.Burst, true) }})
}

// burstAtSink shows what the burst's client alone does to the measurement.
func burstAtSink(ctx context.Context, r *runner, x *Sample) error {
	sink, err := r.startSink()
	if err != nil {
		return err
	}
	defer sink.Stop()
	return r.measure(ctx, x, setup{server: r.serverArgs(x.Engine), load: established(burstWindowMax), whole: true,
		beside: func(string) []string { return burstArgs(sink.Addr, r.Burst, false) }})
}

func burstArgs(addresses string, conns int, ask bool) []string {
	return []string{"accompany", "--kind", "burst", "--address", addresses, "--conns", strconv.Itoa(conns), "--ask=" + strconv.FormatBool(ask)}
}

// shakes measures established plaintext connections of a server that has a listener behind
// TLS as well. The handshakes go to that, or to another server, which shows what they cost
// whoever shares the processor; their clients give way to everybody.
func shakes(how string) func(context.Context, *runner, *Sample) error {
	return func(ctx context.Context, r *runner, x *Sample) error {
		cert, key, err := r.certificate()
		if err != nil {
			return err
		}
		keys := []string{"--tls-cert", cert, "--tls-key", key}
		s := setup{server: append(r.serverArgs(x.Engine), keys...), load: established(r.Window)}
		if x.Engine == goNet {
			s.server = append(s.server, "--plain-too")
		}
		if how == quiet {
			return r.measure(ctx, x, s)
		}
		s.load, s.whole = established(burstWindowMax), true
		other := ""
		if how == shaken {
			p, err := contestant.StartProcess(shaken, append([]string{r.self, "serve", "--server", goNet}, keys...), r.env.ServerCPUs)
			if err != nil {
				return err
			}
			defer p.Stop()
			other = p.Addr
		}
		s.beside = func(address string) []string {
			return []string{"accompany", "--kind", "shake", "--address", cmp.Or(other, address), "--conns", strconv.Itoa(r.Shakes)}
		}
		return r.measure(ctx, x, s)
	}
}

// certificate of a listener behind TLS.
func (r *runner) certificate() (cert, key string, err error) {
	if r.keys == "" {
		if r.keys, err = os.MkdirTemp("", "kring-contract-"); err != nil {
			return "", "", fmt.Errorf("contract: %w", err)
		}
	}
	return contestant.Certificate(r.keys)
}

func files(how string) func(context.Context, *runner, *Sample) error {
	return func(ctx context.Context, r *runner, x *Sample) error {
		if err := r.makeFile(); err != nil {
			return err
		}
		s := setup{early: true,
			server: []string{"judged", "--engine", x.Engine, "--dispatch", "inline", "--processors", "1", "--file", r.file},
			load:   load.Config{Conns: fileClients, Rate: fileRate, WarmUp: warmUp, Duration: r.Window},
		}
		if how == onTheLoop {
			s.server = append(s.server, "--on-the-loop")
		}
		if how != quiet {
			s.beside = func(address string) []string {
				return []string{"accompany", "--kind", "fetch", "--address", address, "--file", r.file}
			}
		}
		return r.measure(ctx, x, s)
	}
}
