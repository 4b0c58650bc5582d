package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kring"
	"kring/bench/load"
	"kring/bench/stats"
)

// filesCmd shows what a client that reads cold files does to the others.
type filesCmd struct {
	Engine   string        `default:"io_uring" enum:"io_uring,epoll,portable" help:"The engine: ${enum}."`
	Dir      string        `type:"existingdir" default:"." help:"Where to put a file; it must be on a disk."`
	Size     int64         `default:"67108864" help:"Bytes of the file, all of which each fetch asks for in pieces of 1 MiB."`
	Rate     float64       `default:"4000" help:"Requests a second of the 16 other connections."`
	Rounds   int           `default:"5" help:"Rounds; each measures all ways once."`
	Duration time.Duration `default:"2s" help:"Measured time of each."`
}

// The ways to serve a file beside others.
const (
	quiet      = "nobody fetches"
	parts      = "fetched by RespondParts"
	onTheLoop  = "read on the processor, as sendfile on a network thread is"
	fetchBytes = 1 << 20
)

func (c *filesCmd) Run() error {
	f, err := c.file()
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	p99 := map[string][]float64{}
	fetched := map[string]int64{}
	for round := range c.Rounds {
		for _, way := range []string{quiet, parts, onTheLoop} {
			r, n, err := c.measure(f, way)
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
			if !r.Valid() {
				fmt.Printf("round %d: %s: does not count: %v\n", round+1, way, r.Invalid)
			}
			p99[way] = append(p99[way], float64(r.Latency.P99)/1e3)
			fetched[way] += n
		}
	}
	fmt.Printf("%s, 16 connections at %.0f/s in all, p99 in µs (median of %d rounds, range), to quiet:\n", c.Engine, c.Rate, c.Rounds)
	for _, way := range []string{quiet, parts, onTheLoop} {
		s := stats.Of(p99[way])
		fmt.Printf("  %-60s %8.0f (%.0f..%.0f)  %s  %4d MiB fetched cold\n", way, s.Median, s.Min, s.Max, stats.Compare(p99[way], p99[quiet]), fetched[way]>>20)
	}
	return nil
}

// file makes a file on the disk, and none of it in the page cache.
func (c *filesCmd) file() (*os.File, error) {
	f, err := os.CreateTemp(c.Dir, "kring-bench-*.segment")
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	piece := make([]byte, fetchBytes)
	for at := int64(0); at < c.Size; at += fetchBytes {
		for i := range piece {
			piece[i] = byte(at>>20) ^ byte(i*7)
		}
		if _, err := f.Write(piece); err != nil {
			return nil, fmt.Errorf("--dir: %w", err)
		}
	}
	return f, f.Sync()
}

// measure is one server with one processor, the load on it, and a client that
// fetches the file as fast as it comes.
func (c *filesCmd) measure(f *os.File, way string) (*load.Result, int64, error) {
	s, err := kring.New(kring.Config{
		Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0"}}, Engine: c.Engine, Dispatch: kring.DispatchInline, Processors: 1,
	}, filesHandler(f, way))
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer s.Shutdown(ctx)
	addr := s.Addrs()[0].String()
	var fetched int64
	var fetching sync.WaitGroup
	over := make(chan struct{})
	var fetchErr error
	if way != quiet {
		fetching.Go(func() { fetched, fetchErr = c.fetch(f, addr, over) })
	}
	r, err := load.Run(load.Config{Address: addr, Conns: 16, Rate: c.Rate, WarmUp: 300 * time.Millisecond, Duration: c.Duration})
	close(over)
	fetching.Wait()
	return r, fetched, errors.Join(err, fetchErr)
}

// filesHandler answers frames with themselves, and one of eight bytes, an
// offset, with that piece of f.
func filesHandler(f *os.File, way string) kring.Handler {
	return kring.HandlerFunc(func(r *kring.Request) {
		if len(r.Payload) != 8 {
			r.Respond(r.Payload)
			return
		}
		offset := int64(binary.BigEndian.Uint64(r.Payload))
		if way == parts {
			if err := r.RespondParts([]kring.Part{{File: f, Offset: offset, Length: fetchBytes}}, nil); err == nil {
				return
			}
		} else if b := r.Buffer(fetchBytes); readWhole(f, b, offset) {
			r.Respond(b)
			return
		}
		r.NoResponse()
	})
}

func readWhole(f *os.File, b []byte, offset int64) bool {
	_, err := f.ReadAt(b, offset)
	return err == nil
}

// fetch asks for piece after piece, each thrown out of the page cache before.
func (c *filesCmd) fetch(f *os.File, addr string, over chan struct{}) (fetched int64, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ask, answer := make([]byte, 12), make([]byte, 4+fetchBytes)
	binary.BigEndian.PutUint32(ask, 8)
	for at := int64(0); ; at = (at + fetchBytes) % (c.Size - c.Size%fetchBytes) {
		select {
		case <-over:
			return fetched, nil
		default:
		}
		if err := unix.Fadvise(int(f.Fd()), at, fetchBytes, unix.FADV_DONTNEED); err != nil {
			return fetched, fmt.Errorf("posix_fadvise %s: %w", filepath.Base(f.Name()), err)
		}
		binary.BigEndian.PutUint64(ask[4:], uint64(at))
		if _, err := conn.Write(ask); err != nil {
			return fetched, err
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			return fetched, err
		}
		fetched += fetchBytes
	}
}
