// Command peers serves echoes of frames with a 4-byte size on other projects'
// frameworks, each the way its documentation recommends. It keeps the
// agreement of the comparison's servers: it says where it listens, answers
// "stats", and ends with its standard input.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/metrics"
)

func main() {
	serve := map[string]func(addr string) error{"gnet": serveGnet, "gnet-frame": serveGnetFrames, "netpoll": serveNetpoll, "nbio": serveNbio}
	if len(os.Args) != 2 || serve[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peers gnet|gnet-frame|netpoll|nbio")
		os.Exit(2)
	}
	addr, err := freeAddr()
	if err == nil {
		go answer()
		err = serve[os.Args[1]](addr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// freeAddr finds a port that is free now; not every framework says which one
// it got.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func ready(addr string) { fmt.Println("ready", addr) }

// answer answers the comparison, and ends the process when it is gone.
func answer() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		samples := []metrics.Sample{
			{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
			{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/sched/goroutines:goroutines"},
		}
		metrics.Read(samples)
		own := map[string]float64{}
		for i, name := range []string{"allocs", "alloc_bytes", "gc_cycles", "now_goroutines"} {
			own[name] = float64(samples[i].Value.Uint64())
		}
		text, _ := json.Marshal(own)
		fmt.Println(string(text))
	}
	os.Exit(0)
}

const frameBytesMax = 100 << 20

// readBytes is what one read takes at most, where a framework has one buffer a poller:
// by its default of 64 KiB a frame of 64 KiB never lies in one read, for its size before it.
const readBytes = 256 << 10

var errFrame = errors.New("frame too big")

// whole is the length of the whole frames in front of b.
func whole(b []byte) (int, error) {
	n := 0
	for len(b)-n >= 4 {
		size := int(binary.BigEndian.Uint32(b[n:]))
		if size > frameBytesMax {
			return 0, errFrame
		}
		if len(b)-n < 4+size {
			break
		}
		n += 4 + size
	}
	return n, nil
}
