package main

import (
	"fmt"
	"math"
	"time"
)

// cost measures the processor time of hostile connections, from connect to
// close, for each kind of question that a server closes for. A server that is
// not the judge and takes more than most on average is at fault.
func cost(servers []*server, rounds int, most time.Duration) error {
	var fault error
	for _, s := range servers {
		kinds, err := s.closedFor()
		if err != nil {
			return err
		}
		all, worst, worstKind := time.Duration(0), time.Duration(0), ""
		for _, q := range kinds {
			each, err := s.costOf(q, rounds)
			if err != nil {
				return err
			}
			all += each
			if each > worst {
				worst, worstKind = each, q.family
			}
		}
		mean := all / time.Duration(len(kinds))
		fmt.Printf("%s: a hostile connection costs %v of processor time on average over %d kinds; most: %v, %s\n",
			s.name, mean.Round(time.Microsecond), len(kinds), worst.Round(time.Microsecond), worstKind)
		if most > 0 && mean > most && s.name != judgeName {
			fault = fmt.Errorf("%s: %v for a hostile connection, want %v at most", s.name, mean, most)
		}
	}
	return fault
}

// judgeName is what the judge is called on the command line.
const judgeName = "kafka"

// settle waits until a server is done with what it was asked.
func (s *server) settle() error {
	const quiet, busyMax = 100 * time.Millisecond, 2 * time.Millisecond
	for end := time.Now().Add(settleWithin); time.Now().Before(end); {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		time.Sleep(quiet)
		after, err := s.cpu()
		if err != nil {
			return err
		}
		if after-before < busyMax {
			return nil
		}
	}
	return fmt.Errorf("%s: still busy after %v", s.name, settleWithin)
}

// settleWithin is longer than Apache Kafka is busy with the worst of the bombs.
const settleWithin = 2 * time.Minute

// costOf is the processor time of one connection that asks q: the least of
// three batches, so that a compiler or collector that runs beside is left out.
func (s *server) costOf(q question, rounds int) (time.Duration, error) {
	least := time.Duration(math.MaxInt64)
	for range 3 {
		before, err := s.cpu()
		if err != nil {
			return 0, err
		}
		for range max(1, rounds/3) {
			if _, err := s.put(q, answerWithin); err != nil {
				return 0, err
			}
		}
		after, err := s.cpu()
		if err != nil {
			return 0, err
		}
		least = min(least, (after-before)/time.Duration(max(1, rounds/3)))
	}
	return least, nil
}

// closedFor finds the questions that cost their connection, warming the server
// with them. What leaves the server busy is measured by itself.
func (s *server) closedFor() (kinds []question, err error) {
	all := append(sizes(), headers()...)
	all = append(all, bombs()...)
	for _, q := range all {
		said := ""
		for range warmRounds {
			if said, err = s.put(q, answerWithin); err != nil {
				return nil, err
			}
			if said != "closed" {
				break
			}
		}
		switch {
		case said == "silent":
			err = s.costOfSilence(q)
		case said == "closed" && !q.fin:
			kinds = append(kinds, q)
		}
		if err != nil {
			return nil, err
		}
	}
	return kinds, s.settle()
}

const warmRounds = 200

// costOfSilence says what a question costs that is not answered in time.
func (s *server) costOfSilence(q question) error {
	if err := s.settle(); err != nil {
		return err
	}
	before, err := s.cpu()
	if err != nil {
		return err
	}
	if _, err = s.put(q, answerWithin); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	after, err := s.cpu()
	fmt.Printf("%s: %v of processor time for %s\n", s.name, (after - before).Round(time.Millisecond), q.family)
	return err
}
