package main

import (
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
}

func serveGnet(addr string) error {
	// Multicore makes one event loop per CPU it may use.
	return gnet.Run(&gnetServer{addr: addr}, "tcp://"+addr,
		gnet.WithMulticore(runtime.GOMAXPROCS(0) > 1), gnet.WithTCPNoDelay(gnet.TCPNoDelay),
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
	if _, err := c.Write(b[:n]); err != nil {
		return gnet.Close
	}
	if _, err := c.Discard(n); err != nil {
		return gnet.Close
	}
	return gnet.None
}
