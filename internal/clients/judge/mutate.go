package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/raw"
)

const (
	// requestCPUMax is how much CPU time of a server a request may take.
	requestCPUMax = 10 * time.Millisecond
	// waitingAfter is when a request is taken for one that waits (a long poll).
	waitingAfter = 50 * time.Millisecond
	// growthMax is how much a server's memory may grow over all mutations.
	growthMax = 64 << 20
)

// mutate sends n mutated requests of every API to every server, beside an honest client.
// Each must be answered or close its connection. None may take long or leave memory
// behind, and the honest client must see no error.
func mutate(servers []*server, only string, n int, seed uint64) error {
	if err := prepare(servers); err != nil {
		return err
	}
	var faults []error
	for _, s := range servers {
		if err := s.mutateAll(only, n, seed); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(faults...)
}

// tally is what became of mutated requests.
type tally struct {
	answered, closed, waiting int
	slowest                   time.Duration
	slowestOf                 int16
	faults                    []error
}

func (s *server) mutateAll(only string, n int, seed uint64) error {
	honest := startHonest(s)
	defer honest.stop()
	var keys []int16
	for key := range s.versions {
		if kmsg.RequestForKey(key) != nil && (only == "" || only == apiName(key)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	m := &mutator{server: s, honest: honest, random: rand.New(rand.NewPCG(seed, seed))}
	defer m.close()
	var before int64
	start := time.Now()
	for round := range 2 {
		count := n
		if round == 0 {
			count = max(1, n/20) // first warm caches and pools
		}
		for _, key := range keys {
			if err := m.mutateAPI(key, count); err != nil {
				return fmt.Errorf("%s: %w", apiName(key), err)
			}
		}
		if round == 0 {
			var err error
			if before, err = s.resident(); err != nil {
				return err
			}
		}
	}
	after, err := s.resident()
	if err != nil {
		return err
	}
	honest.stop()
	t := &m.tally
	fmt.Printf("%s: %d mutated requests of %d APIs in %v: %d answered, %d closed, %d waiting; most processor time of one: %v (%s); memory %+d KiB; the honest client asked %d times, waited %v at most\n",
		s.name, t.answered+t.closed+t.waiting, len(keys), time.Since(start).Round(time.Second), t.answered, t.closed, t.waiting,
		t.slowest.Round(time.Microsecond), apiName(t.slowestOf), (after-before)>>10, honest.asked, honest.slowest.Round(time.Millisecond))
	if after-before > growthMax {
		t.faults = append(t.faults, fmt.Errorf("memory grew by %d KiB", (after-before)>>10))
	}
	return errors.Join(append(t.faults, honest.err)...)
}

// mutator sends mutated requests to one server.
type mutator struct {
	server *server
	honest *honest
	random *rand.Rand
	conn   net.Conn
	tally  tally
}

func (m *mutator) mutateAPI(key int16, n int) error {
	r := m.server.versions[key]
	top := min(r.max, kmsg.RequestForKey(key).MaxVersion())
	for range n {
		version := r.min + int16(m.random.IntN(int(top-r.min)+1))
		req := randomRequest(m.random, key, version)
		payload := payloadOf(req, 1)
		if m.random.IntN(10) > 0 {
			payload = mutated(m.random, payload)
		}
		if err := m.one(key, payload); err != nil {
			return err
		}
	}
	return nil
}

// one sends one request and another behind it.
func (m *mutator) one(key int16, payload []byte) error {
	start := time.Now()
	end, err := m.exchange(payload)
	if err != nil {
		return err
	}
	switch end {
	case "answered":
		m.tally.answered++
	case "closed":
		m.tally.closed++
	default:
		m.tally.waiting++
		return nil
	}
	if time.Since(start) > requestCPUMax/2 {
		return m.again(key, payload)
	}
	return nil
}

// again finds out how much of a slow answer was the server's processor time:
// the least of several tries, with nobody beside.
func (m *mutator) again(key int16, payload []byte) error {
	m.honest.pause.Lock()
	defer m.honest.pause.Unlock()
	least := time.Duration(1<<63 - 1)
	for range 5 {
		before, err := m.server.cpu()
		if err != nil {
			return err
		}
		if _, err := m.exchange(payload); err != nil {
			return err
		}
		after, err := m.server.cpu()
		if err != nil {
			return err
		}
		least = min(least, after-before)
	}
	if least > m.tally.slowest {
		m.tally.slowest, m.tally.slowestOf = least, key
	}
	if least > requestCPUMax {
		m.tally.faults = append(m.tally.faults, fmt.Errorf("%s: %d bytes took %v of processor time: %.200x", apiName(key), len(payload), least, payload))
	}
	return nil
}

// exchange says what became of a request: answered, closed or waiting. It
// keeps the connection while it lasts.
func (m *mutator) exchange(payload []byte) (string, error) {
	if m.conn == nil {
		var err error
		if m.conn, err = m.server.dial(); err != nil {
			return "", err
		}
	}
	if err := m.conn.SetDeadline(time.Now().Add(waitingAfter)); err != nil {
		return "", err
	}
	probe := raw.Frame(raw.Header(raw.KeyApiVersions, 0, nextCorrelation))
	if _, err := m.conn.Write(append(raw.Frame(payload), probe...)); err != nil {
		m.close()
		return "closed", nil // before it was written: what ended it came before
	}
	for {
		response, err := readFrame(m.conn)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			m.close()
			return "waiting", nil
		case err != nil:
			m.close()
			return "closed", nil
		case binary.BigEndian.Uint32(response) == nextCorrelation:
			return "answered", nil
		}
	}
}

func (m *mutator) close() {
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
}

// honest is a well-behaved client that keeps asking.
type honest struct {
	pause   sync.Mutex // held while nobody may ask
	quit    chan struct{}
	over    sync.Once
	running sync.WaitGroup
	asked   int
	slowest time.Duration
	err     error
}

func startHonest(s *server) *honest {
	h := &honest{quit: make(chan struct{})}
	h.running.Go(func() {
		questions := []question{
			{asks: []ask{asking(namedMetadata(topic), 1)}},
			{asks: []ask{asking(produceRequest(3, topic, 1, batch()), 1)}},
		}
		for h.err == nil {
			select {
			case <-h.quit:
				return
			case <-time.After(time.Millisecond):
			}
			h.pause.Lock()
			start := time.Now()
			said, err := s.put(questions[h.asked%len(questions)], answerWithin)
			h.pause.Unlock()
			h.slowest = max(h.slowest, time.Since(start))
			h.asked++
			if err == nil && said != "ok, next is answered" {
				err = fmt.Errorf("the honest client was answered with %q", said)
			}
			h.err = err
		}
	})
	return h
}

func (h *honest) stop() {
	h.over.Do(func() { close(h.quit) })
	h.running.Wait()
}
