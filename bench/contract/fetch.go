package contract

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"

	"kring/bench/contestant"
)

// makeFile makes a file on the disk, once.
func (r *runner) makeFile() error {
	if r.file != "" {
		return nil
	}
	f, err := os.CreateTemp(r.Dir, "kring-bench-*.segment")
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	defer f.Close()
	r.file = f.Name()
	piece := make([]byte, fetchBytes)
	for at := int64(0); at < r.FileBytes; at += fetchBytes {
		for i := range piece {
			piece[i] = byte(at>>20) ^ byte(i*7)
		}
		if _, err := f.Write(piece); err != nil {
			return fmt.Errorf("--dir: %w", err)
		}
	}
	return f.Sync() // pages that are not on the disk can't be dropped
}

func (r *runner) forgetFile() {
	if r.file != "" {
		_ = os.Remove(r.file)
	}
}

// fetcher asks for piece after piece of a file, each thrown out of the page
// cache before.
type fetcher struct {
	file  *os.File
	bytes int64
	conn  net.Conn

	over    chan struct{}
	going   sync.WaitGroup
	fetched int64
	failed  float64
}

func newFetcher(c CompanyConfig) (*fetcher, error) {
	file, err := os.Open(c.File)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", c.Address, patience)
	if err != nil {
		return nil, err
	}
	return &fetcher{file: file, bytes: info.Size() - info.Size()%fetchBytes, conn: conn, over: make(chan struct{})}, nil
}

func (f *fetcher) does(command string) contestant.Own {
	if command == "go" {
		f.going.Go(f.fetch)
		return nil
	}
	close(f.over)
	f.going.Wait()
	return contestant.Own{"fetched_bytes": float64(f.fetched), "failed": f.failed}
}

func (f *fetcher) fetch() {
	offset, answer := make([]byte, 8), make([]byte, 4+fetchBytes)
	for at := int64(0); ; at = (at + fetchBytes) % f.bytes {
		select {
		case <-f.over:
			return
		default:
		}
		binary.BigEndian.PutUint64(offset, uint64(at))
		err := dropCached(f.file, at, fetchBytes)
		if err == nil {
			_, err = ask(f.conn, offset, answer)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			f.failed++
			return
		}
		f.fetched += fetchBytes
	}
}

func (f *fetcher) close() {
	_ = f.conn.Close()
	_ = f.file.Close()
}
