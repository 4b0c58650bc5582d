package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

const (
	connsPerAddress = 10_000
	// again is how long an attacker waits before it comes back.
	again = 200 * time.Millisecond
	// dialPatience bounds a connect: the server may have no place.
	dialPatience = 5 * time.Second
)

// dial connects as the i-th of a kind.
func (s *siege) dial(i int) (net.Conn, error) {
	from := net.IPv4(127, 0, 0, byte(2+s.origin+i/connsPerAddress))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: dialPatience}
	return d.Dial("tcp", s.address)
}

// each has n attackers at it until it is over, each again when it was closed.
func (s *siege) each(n int, attack func(c net.Conn, i int)) {
	for i := range n {
		s.all.Go(func() {
			for {
				c, err := s.dial(i)
				s.book.attacks.Add(1)
				if err != nil {
					s.book.refused.Add(1)
				} else {
					over := make(chan struct{})
					go func() {
						select {
						case <-s.done:
							_ = c.Close()
						case <-over:
						}
					}()
					attack(c, i)
					close(over)
					_ = c.Close()
				}
				select {
				case <-s.done:
					return
				case <-time.After(again):
				}
			}
		})
	}
}

// half is what comes of a frame of 1 MiB.
var half = append(binary.BigEndian.AppendUint32(nil, 1<<20), make([]byte, 512<<10)...)

// partialFrame sends half of a frame, and waits for what becomes of it.
func (s *siege) partialFrame(c net.Conn, _ int) {
	if _, err := c.Write(half); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}

var claimed = []int{100 << 20, 100 << 20, 50 << 20, 5 << 20, 512 << 10, 256 << 10, 128 << 10}

// claim sends the size of a large frame, and one byte.
func (s *siege) claim(c net.Conn, i int) {
	size := claimed[min(i, 4+i%3)]
	if i < 4 {
		size = claimed[i]
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(size)), 0)); err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}

// unreadFetch asks for all of the topic and reads nothing.
func (s *siege) unreadFetch(c net.Conn, _ int) {
	if _, err := c.Write(request(fetch(bigTopic, 0, 100<<20), 1)); err == nil {
		s.awaitClosed(c)
	}
}

// slowPipeliner asks without end, and reads 1 KiB every 20 ms.
func (s *siege) slowPipeliner(c net.Conn, _ int) {
	go func() {
		ask := request(metadata(), 1)
		for {
			if _, err := c.Write(ask); err != nil {
				return
			}
		}
	}()
	piece := make([]byte, 1<<10)
	for {
		if _, err := c.Read(piece); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitClosed waits until c is closed by its peer, without reading.
func (s *siege) awaitClosed(c net.Conn) {
	for !hungUp(c) {
		select {
		case <-s.done:
			return
		case <-time.After(time.Second):
		}
	}
}

// hungUp says that the peer has closed or reset c. It reads nothing: poll(2) tells.
func hungUp(c net.Conn) (over bool) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		_, _ = unix.Poll(p, 0)
		over = p[0].Revents != 0
	})
	return over || err != nil
}

// idleHere holds idle connections until standard input ends.
func (s *siege) idleHere() error {
	var all []net.Conn
	failed := 0
	for i := range s.idle {
		c, err := s.dial(i)
		if err != nil {
			failed++
			continue
		}
		all = append(all, c)
	}
	fmt.Println(len(all), failed)
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, c := range all {
		_ = c.Close()
	}
	return nil
}

// idlePerProcess leaves a process descriptors for itself.
const idlePerProcess = 8000

// idleElsewhere has processes of their own hold idle connections.
func (s *siege) idleElsewhere() (stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range ends {
			end()
		}
	}
	for at := 0; at < s.idle; at += idlePerProcess {
		n := min(idlePerProcess, s.idle-at)
		cmd := exec.Command(os.Args[0], "-role", "idle", "-address", s.address, "-idle", strconv.Itoa(n), "-origin", strconv.Itoa(8+at/idlePerProcess))
		cmd.Stderr = os.Stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err1 != nil || err2 != nil {
			return stop, fmt.Errorf("pipes: %w, %w", err1, err2)
		}
		if err := cmd.Start(); err != nil {
			return stop, err
		}
		ends = append(ends, func() {
			_ = in.Close()
			_ = cmd.Wait()
		})
		said := bufio.NewScanner(out)
		if !said.Scan() {
			stop()
			return stop, fmt.Errorf("a process for idle connections ended: %w", said.Err())
		}
		var open, failed int64
		if _, err := fmt.Sscan(said.Text(), &open, &failed); err != nil {
			return stop, err
		}
		s.book.attacks.Add(open + failed)
		s.book.refused.Add(failed)
	}
	return stop, nil
}

func metadata() kmsg.Request {
	m := kmsg.NewPtrMetadataRequest()
	m.Version = 9
	return m
}

// fetch asks for a partition from its start.
func fetch(topic string, partition int32, bytes int32) kmsg.Request {
	f := kmsg.NewPtrFetchRequest()
	f.Version, f.MaxBytes, f.MaxWaitMillis = 11, bytes, 0
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.PartitionMaxBytes = partition, bytes
	t.Partitions = append(t.Partitions, p)
	f.Topics = append(f.Topics, t)
	return f
}

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID("siege"))

// request is a whole frame.
func request(r kmsg.Request, correlation int32) []byte {
	return formatter.AppendRequest(nil, r, correlation)
}
