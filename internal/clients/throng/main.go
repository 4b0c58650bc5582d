// Command throng is ten thousand clients of a cluster, each on a connection of its own, and says
// whether every one of them made progress.
//
// Job. Idle clients ask at the start and at the end. Producers send one record each interval, some
// seldom and some often, with acks=all. Consumers wait for records with a Fetch, one after the other, and
// have to come forward in each interval. A client whose answer came after the end of its interval
// missed one. scripts/gateway-mix.sh uses it.
//
// Flow. It connects everybody, prints "ready", and runs for -seconds. Then it prints what it
// found, waits until its standard input ends, with every connection still there to be counted,
// asks the idle ones once more, and exits with 1 if anybody missed an interval or lost a connection.
//
// Ownership. A client, its connection included, belongs to its goroutine; its counts are read when
// that has ended.
//
// Never. No retry and no second connection: what fails is a fault. It does not create more load
// when answers are late.
//
// Kernel. Nothing of its own.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// The intervals of clients. A consumer that gets nothing is answered after fetchWait.
const (
	oftenEvery  = 2 * time.Second
	seldomEvery = 20 * time.Second
	fetchEvery  = 2 * time.Second
	fetchWait   = 500 * time.Millisecond
)

type throng struct {
	cluster cluster
	clients []*client
}

func main() {
	bootstrap := flag.String("bootstrap", "127.0.0.1:9092", "`HOST:PORT` of a broker or of the gateway")
	topic := flag.String("topic", "throng", "`NAME` of the topic")
	idle := flag.Int("idle", 4000, "clients that do nothing")
	seldom := flag.Int("seldom", 4000, "clients that produce every 20 s")
	often := flag.Int("producers", 1500, "clients that produce every 2 s")
	consumers := flag.Int("consumers", 500, "clients that wait for records")
	seconds := flag.Float64("seconds", 60, "how long")
	flag.Parse()
	t := &throng{}
	err := t.cluster.learn(*bootstrap, *topic)
	if err == nil {
		t.add(*idle, 0, nil)
		t.add(*seldom, seldomEvery, (*client).produce)
		t.add(*often, oftenEvery, (*client).produce)
		t.add(*consumers, fetchEvery, (*client).consume)
		err = t.run(time.Duration(*seconds * float64(time.Second)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "throng:", err)
		os.Exit(1)
	}
}

// add makes n clients of a kind.
func (t *throng) add(n int, every time.Duration, act func(*client, time.Time) error) {
	for range n {
		id := len(t.clients)
		p := id % len(t.cluster.leaders)
		t.clients = append(t.clients, &client{
			cluster: &t.cluster, partition: int32(p), address: t.cluster.leaders[p], every: every, act: act,
			phase: time.Duration(id) * every / time.Duration(max(n, 1)) % max(every, 1),
		})
	}
}

func (t *throng) run(length time.Duration) error {
	defer func() {
		for _, c := range t.clients {
			c.close()
		}
	}()
	if err := t.each(64, (*client).connect); err != nil {
		return err
	}
	fmt.Println("ready")
	begun := time.Now()
	err := t.each(len(t.clients), func(c *client) error { return c.live(begun, begun.Add(length)) })
	fmt.Println(t.report(length))
	_, _ = io.Copy(io.Discard, os.Stdin)
	missed := 0
	for _, c := range t.clients {
		missed += c.missed
	}
	if missed > 0 {
		err = errors.Join(err, fmt.Errorf("%d intervals were missed", missed))
	}
	return errors.Join(err, t.each(64, (*client).greet))
}

// each calls do for every client, so many at once, and joins the first faults.
func (t *throng) each(atOnce int, do func(*client) error) error {
	var mu sync.Mutex
	var faults []error
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for id, c := range t.clients {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if err := do(c); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, fmt.Errorf("client %d: %w", id, err))
			}
		})
	}
	running.Wait()
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d clients failed: %w", len(faults), len(t.clients), errors.Join(faults[:min(3, len(faults))]...))
}

// report is a line for each kind of client.
func (t *throng) report(length time.Duration) (text string) {
	kinds := map[time.Duration]string{0: "idle", seldomEvery: "seldom", oftenEvery: "producers"}
	sums := map[string]*sum{}
	for _, c := range t.clients {
		kind := kinds[c.every]
		if c.consumed > 0 || c.next > 0 {
			kind = "consumers"
		}
		s := sums[kind]
		if s == nil {
			s = &sum{}
			sums[kind] = s
		}
		s.add(c)
	}
	for _, kind := range []string{"idle", "seldom", "producers", "consumers"} {
		if s := sums[kind]; s != nil {
			text += fmt.Sprintf("throng: %s clients=%d answers=%d per_second=%.0f p50_ms=%.1f p99_ms=%.1f max_ms=%.1f intervals=%d missed=%d\n",
				kind, s.clients, s.answers, float64(s.answers)/length.Seconds(), s.quantile(0.5), s.quantile(0.99), s.quantile(1), s.intervals, s.missed)
		}
	}
	return text
}

// sum is what the clients of a kind did.
type sum struct {
	clients, answers, intervals, missed int
	took                                []time.Duration
}

func (s *sum) add(c *client) {
	s.clients++
	s.answers += c.answers
	s.intervals += c.intervals
	s.missed += c.missed
	s.took = append(s.took, c.took...)
}

// quantile of the times from when a request was due to its answer, in ms.
func (s *sum) quantile(q float64) float64 {
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return float64(s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]) / 1e6
}
