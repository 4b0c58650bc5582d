package compare

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
	"kring/internal/replay"
)

// Scenario is one shape of load.
type Scenario struct {
	Name    string    `json:"name"`
	About   string    `json:"about"`
	Kind    load.Kind `json:"kind"`
	Conns   int       `json:"conns"`
	Depth   int       `json:"depth"`
	Payload int       `json:"payload"`
	Idle    int       `json:"idle,omitempty"`
	// TLS has the connections speak it; with Handshakes each request is one.
	TLS        bool            `json:"tls,omitempty"`
	Handshakes load.Handshakes `json:"handshakes,omitempty"`
	// WarmUp is what it needs at least; 0: as others.
	WarmUp time.Duration `json:"warm_up,omitempty"`
	// Open makes the loop an open one; Share is the part of the capacity that it
	// asks for, 0 meaning half.
	Open  OpenRate `json:"open,omitempty"`
	Share float64  `json:"share,omitempty"`
	// Recording is a file that is played, at Speed, in Length; see Played.
	Recording string        `json:"recording,omitempty"`
	Speed     float64       `json:"speed,omitempty"`
	Length    time.Duration `json:"length,omitempty"`
	// Group names scenarios that are compared with one another: their runs
	// alternate, and "slowest" is the slowest of all of them.
	Group string `json:"group,omitempty"`
	// Few says that the contestants of the short comparison are enough, and those
	// that were asked for by name.
	Few bool `json:"few,omitempty"`
	// Curve names the curve of latency by rate that the scenario is a point of.
	Curve string `json:"curve,omitempty"`
	// RoundsMax bounds the rounds; 0: as many as asked for.
	RoundsMax int `json:"rounds_max,omitempty"`
	// Usual ones run unless others are named; Quick ones in the short
	// comparison as well.
	Usual bool `json:"-"`
	Quick bool `json:"-"`
}

// OpenRate is where an open loop's rate comes from: a share of a capacity that
// a closed loop found first.
type OpenRate string

// The sources of a rate.
const (
	OfOwn     OpenRate = "own"     // each contestant's own capacity
	OfSlowest OpenRate = "slowest" // the smallest of all in the scenario's group
)

// openShare is how much of the capacity an open loop asks for, unless it says.
const openShare = 0.5

// curveShares are the points of a curve of latency by rate. The last ones lie
// where queues grow.
var curveShares = []float64{0.2, 0.5, 0.7, 0.85, 0.95}

// curveRounds: a curve is a picture, its points support no verdict.
const curveRounds = 2

// curve is latency by rate, each contestant up to its own capacity.
func curve() []Scenario {
	var points []Scenario
	for _, share := range curveShares {
		points = append(points, Scenario{
			Name: fmt.Sprintf("curve-%02.0f", share*100), Kind: load.Frames, Conns: 256, Depth: 1, Payload: 128,
			Open: OfOwn, Share: share, Curve: "curve", Few: true, RoundsMax: curveRounds, Usual: true,
			About: fmt.Sprintf("256 connections, 128 B, open loop at %.0f %% of each contestant's own capacity, in %d rounds: a picture, no verdict", share*100, curveRounds),
		})
	}
	return points
}

// Played is the scenario of a recording, which is played at a speed; 0: each connection sends its next
// request when the last one is answered.
func Played(file string, speed float64) (Scenario, error) {
	f, err := os.Open(file)
	if err != nil {
		return Scenario{}, err
	}
	defer f.Close()
	in, err := replay.Scan(context.Background(), f)
	if err != nil {
		return Scenario{}, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return Scenario{}, err
	}
	s := Scenario{Name: "recording", Kind: load.Recording, Conns: max(in.Connections, 1), Depth: 1, Recording: file, Speed: speed, Length: max(in.Length, time.Second)}
	how := "each connection sends its next request when the last one is answered"
	if speed > 0 {
		s.Length = max(time.Duration(float64(in.Length)/speed), time.Second)
		how = fmt.Sprintf("open loop at %g times its speed", speed)
	}
	s.About = fmt.Sprintf("%s: %d requests on %d connections in %v, %s", filepath.Base(file), in.Requests, in.Connections, in.Length.Round(time.Millisecond), how)
	return s, nil
}

// Scenarios lists all.
func Scenarios() []Scenario {
	frames := func(name string, conns, depth, payload int, usual, quick bool) Scenario {
		return Scenario{Name: name, Kind: load.Frames, Conns: conns, Depth: depth, Payload: payload, Usual: usual, Quick: quick,
			About: fmt.Sprintf("%d connections × %d in flight, %d B", conns, depth, payload)}
	}
	open := func(name string, of OpenRate, about string, usual bool) Scenario {
		s := frames(name, 256, 1, 128, usual, false)
		s.Open, s.About = of, "256 connections, 128 B, open loop at half of "+about
		return s
	}
	kafka := func(name string, kind load.Kind, conns, depth, payload int, usual bool) Scenario {
		s := frames(name, conns, depth, payload, usual, false)
		s.Kind, s.About = kind, fmt.Sprintf("%d connections × %d in flight, Kafka %s", conns, depth, kind)
		return s
	}
	idle := frames("64x1-idle", 64, 1, 128, false, false)
	idle.Idle, idle.About = 10_000, "64 connections × 1 in flight, 128 B, beside 10,000 idle ones"
	kafkaOpen := kafka("api-open", load.ApiVersions0, 64, 1, 0, false)
	kafkaOpen.Open, kafkaOpen.About = OfSlowest, "64 connections, Kafka apiversions-v0, open loop at half of the slowest contestant's capacity"
	echoOpen := frames("echo-open", 64, 1, requestBytes, false, false)
	echoOpen.Open, echoOpen.About = OfSlowest, "64 connections, frames as long as Kafka apiversions-v0's, at the rate of api-open"
	kafkaOpen.Group, echoOpen.Group = "api-open", "api-open"
	api, echo := kafka("api-64x1", load.ApiVersions0, 64, 1, 0, false), frames("echo-64x1", 64, 1, requestBytes, false, false)
	api.Group, echo.Group = "api", "api"
	deep, deepEcho := kafka("api-64x16", load.ApiVersions0, 64, 16, 0, false), frames("echo-64x16", 64, 16, requestBytes, false, false)
	deep.Group, deepEcho.Group = "api-deep", "api-deep"
	return append(append([]Scenario{
		frames("1x1", 1, 1, 128, true, false),
		frames("64x1", 64, 1, 128, true, true),
		frames("1000x1", 1000, 1, 128, true, true),
		frames("64x16", 64, 16, 128, true, true),
		frames("1000x16", 1000, 16, 128, true, false),
		frames("5000x1", 5000, 1, 128, true, false),
		frames("10000x1", 10_000, 1, 128, true, false),
		frames("16x1-64k", 16, 1, 64<<10, true, false),
		frames("4x1-1m", 4, 1, 1<<20, true, false),
		open("open-slowest", OfSlowest, "the slowest contestant's capacity", true),
		open("open-own", OfOwn, "each contestant's own capacity", true),
		frames("16x1-16k", 16, 1, 16<<10, false, false),
		frames("3000x1", 3000, 1, 128, false, false),
		idle,
		api, echo,
		kafkaOpen, echoOpen,
		deep, deepEcho,
		kafka("produce-64x1", load.ProduceOne, 64, 1, 1024, false),
	}, append(secured(frames, kafka), paced()...)...), curve()...)
}

// secured are scenarios behind TLS 1.3. The certificate has an ECDSA key of P-256.
func secured(frames func(string, int, int, int, bool, bool) Scenario, kafka func(string, load.Kind, int, int, int, bool) Scenario) []Scenario {
	list := []Scenario{
		frames("64x1-tls", 64, 1, 128, false, false),
		frames("64x16-tls", 64, 16, 128, false, false),
		frames("16x1-64k-tls", 16, 1, 64<<10, false, false),
		kafka("api-64x1-tls", load.ApiVersions0, 64, 1, 0, false),
		frames("handshakes-tls", 16, 1, 128, false, false),
		frames("resumed-tls", 16, 1, 128, false, false),
	}
	for i := range list {
		list[i].TLS, list[i].About = true, list[i].About+", TLS 1.3"
	}
	full, resumed := &list[len(list)-2], &list[len(list)-1]
	full.Handshakes, full.About = load.FullHandshakes, "16 clients that connect, shake hands by TLS 1.3, ask once (128 B) and end"
	resumed.Handshakes, resumed.About = load.ResumedHandshakes, "the same, each handshake but a client's first resumed"
	return list
}

// requestBytes is what the load's ApiVersions request v0 has behind its size.
const requestBytes = 21

// paced are scenarios in which all carry the same rate, which the slowest
// carries easily: there CPU per request compares what one load costs, and the
// generator has time to spare.
func paced() []Scenario {
	paced := func(group, name string, conns, depth, payload int, about string) Scenario {
		return Scenario{Name: name, Group: group, Kind: load.Frames, Conns: conns, Depth: depth, Payload: payload,
			Open: OfSlowest, Few: true, About: about + ", the same rate for all: half of the slowest contestant's capacity"}
	}
	busy := paced("paced-1000x1", "1000x1-paced", 1000, 1, 128, "1000 connections, 128 B")
	deep := paced("paced-64x16", "64x16-paced", 64, 16, 128, "64 connections, 128 B, 16 requests together")
	busy.Usual, deep.Usual = true, true
	idle := paced("paced", "idle50k-paced", 64, 1, 128, "64 connections, 128 B, beside 50,000 idle ones")
	idle.Idle = 50_000
	many := paced("paced", "10000x1-paced", 10_000, 1, 128, "10000 connections, 128 B")
	many.WarmUp = time.Second // each connection's turn comes once
	api := paced("paced-api", "api-paced", 64, 1, 0, "64 connections, Kafka apiversions-v0")
	api.Kind = load.ApiVersions0
	return []Scenario{
		busy, deep,
		paced("paced", "64x1-paced", 64, 1, 128, "64 connections, 128 B"), many, idle,
		api, paced("paced-api", "echo-paced", 64, 1, requestBytes, "64 connections, frames as long as Kafka apiversions-v0's"),
	}
}

// groups are the scenarios that alternate with each other, in their order.
func groups(all []Scenario) [][]*Scenario {
	var list [][]*Scenario
	at := map[string]int{}
	for i := range all {
		s := &all[i]
		if n, ok := at[s.Group]; ok && s.Group != "" {
			list[n] = append(list[n], s)
			continue
		}
		at[s.Group] = len(list)
		list = append(list, []*Scenario{s})
	}
	return list
}

// rounds is how many of the asked rounds the scenario is run for.
func (s *Scenario) rounds(asked int) int {
	if s.RoundsMax > 0 {
		return min(s.RoundsMax, asked)
	}
	return asked
}

// isKafka says whether the server must speak Kafka.
func (s *Scenario) isKafka() bool { return s.Kind != load.Frames }

func (s *Scenario) shape() contestant.Shape {
	return contestant.Shape{FrameBytes: s.Payload, Depth: s.Depth, Kafka: s.isKafka(), TLS: s.TLS}
}

// SelectScenarios gives those that match one of the patterns.
func SelectScenarios(all []Scenario, patterns []string) ([]Scenario, error) {
	var chosen []Scenario
	for _, s := range all {
		for _, p := range patterns {
			ok, err := path.Match(p, s.Name)
			if err != nil {
				return nil, fmt.Errorf("scenario %q: %w", p, err)
			}
			if ok {
				chosen = append(chosen, s)
				break
			}
		}
	}
	if len(chosen) == 0 {
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("scenario: nothing is called %q: choose of %s", patterns, strings.Join(names, ", "))
	}
	return chosen, nil
}
