package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"github.com/panjf2000/gnet/v2"
)

// gnetServer peeks at what is buffered, writes every whole frame of it at once,
// and leaves the rest where it is.
type gnetServer struct {
	gnet.BuiltinEventEngine
	addr string
	each bool // write every frame on its own
}

func serveGnet(addr string) error { return runGnet(&gnetServer{addr: addr}) }

// serveGnetFrames is what gnet's own examples do: one write per frame.
func serveGnetFrames(addr string) error { return runGnet(&gnetServer{addr: addr, each: true}) }

func runGnet(s *gnetServer) error {
	// Multicore makes one event loop per CPU it may use.
	return gnet.Run(s, "tcp://"+s.addr,
		gnet.WithMulticore(runtime.GOMAXPROCS(0) > 1), gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithReadBufferCap(readBytes),
		gnet.WithLogger(quiet{}))
}

// quiet logs errors only, and to standard error: standard output is the
// comparison's.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "gnet: "+format+"\n", args...)
}
func (quiet) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "gnet: "+format+"\n", args...)
	os.Exit(1)
}

func (s *gnetServer) OnBoot(gnet.Engine) gnet.Action {
	ready(s.addr)
	return gnet.None
}

func (s *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	n, err := whole(b)
	if err != nil {
		return gnet.Close
	}
	if n == 0 {
		return gnet.None
	}
	for from, to := 0, n; from < n; from = to {
		if s.each {
			to = from + 4 + int(binary.BigEndian.Uint32(b[from:]))
		}
		if _, err := c.Write(b[from:to]); err != nil {
			return gnet.Close
		}
		if !s.each {
			break
		}
	}
	if _, err := c.Discard(n); err != nil {
		return gnet.Close
	}
	return gnet.None
}
