// Command record is a proxy between clients and servers that records requests.
//
// usage: record -frames FILE [-skip PATTERN] SERVER=TARGETFILE...
//
// Job. Pass bytes both ways, unchanged, and write down each request frame whose
// shape was not seen yet (package replay).
//
// Flow. It listens once for each server and prints "SERVER ADDRESS". A client's
// connection is passed on to the address that TARGETFILE names by then: the
// server is started behind the proxy, because it has to tell its clients the
// proxy's address. SIGTERM ends it: what FILE had before and what came is
// written to FILE.
//
// Ownership. A connection's two goroutines own its two sides; both close when
// either ends. The frames are shared and have a lock.
//
// Never. No byte is changed, delayed or invented; what is not Kafka is passed on and not
// recorded.
//
// Kernel. Nothing of its own.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"kring/internal/clients/replay"
)

func main() {
	path := flag.String("frames", "", "the `FILE` of frames: read at the start, written at the end")
	skip := flag.String("skip", "^$", "clients whose id matches this `PATTERN` are not recorded")
	flag.Parse()
	if err := run(*path, *skip, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(path, skip string, servers []string) error {
	not, err := regexp.Compile(skip)
	if err != nil {
		return err
	}
	var set replay.Set
	if err := load(&set, path); err != nil {
		return err
	}
	keep := func(f replay.Frame) {
		if !not.MatchString(f.Client) {
			set.Add(f)
		}
	}
	for _, arg := range servers {
		name, target, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not SERVER=TARGETFILE", arg)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(name, l.Addr())
		go accept(l, target, keep)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(set.Write(file), file.Close())
}

// load reads what is there already; a file that is not there has nothing.
func load(set *replay.Set, path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return set.Read(file)
}

// accept passes every connection on; the process's end is its end.
func accept(l net.Listener, target string, keep func(replay.Frame)) {
	for {
		client, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "record:", err)
			return
		}
		go func() {
			defer client.Close()
			if err := pass(client, target, keep); err != nil {
				fmt.Fprintln(os.Stderr, "record:", err)
			}
		}()
	}
}

// pass carries one connection until either side ends it.
func pass(client net.Conn, target string, keep func(replay.Frame)) error {
	addr, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	server, err := net.Dial("tcp", strings.TrimSpace(string(addr)))
	if err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(client, server) //nolint:errcheck // its end is the connection's
		client.Close()
	})
	watched := &splitter{keep: keep}
	io.Copy(io.MultiWriter(server, watched), client) //nolint:errcheck // its end is the connection's
	server.Close()
	both.Wait()
	return nil
}

// splitter finds the frames in what a client sends. It never fails, so that unknown bytes
// are passed on too.
type splitter struct {
	keep func(replay.Frame)
	rest []byte
	lost bool
}

// requestBytesMax is more than any client here sends; what says that it is
// longer is no request.
const requestBytesMax = 64 << 20

func (s *splitter) Write(p []byte) (int, error) {
	if s.lost {
		return len(p), nil
	}
	s.rest = append(s.rest, p...)
	for len(s.rest) >= 4 {
		n := int(binary.BigEndian.Uint32(s.rest))
		if n > requestBytesMax {
			s.lost, s.rest = true, nil
			break
		}
		if len(s.rest) < 4+n {
			break
		}
		if f, err := replay.Parse(append([]byte(nil), s.rest[4:4+n]...)); err == nil {
			s.keep(f)
		}
		s.rest = append(s.rest[:0], s.rest[4+n:]...)
	}
	return len(p), nil
}
