package main

import (
	"context"
	"encoding/binary"

	"github.com/cloudwego/netpoll"
)

func serveNetpoll(addr string) error {
	ln, err := netpoll.CreateListener("tcp", addr)
	if err != nil {
		return err
	}
	loop, err := netpoll.NewEventLoop(netpollRequest)
	if err != nil {
		return err
	}
	ready(addr) // the listener stands: what connects now is accepted soon
	return loop.Serve(ln)
}

// netpollRequest runs on a goroutine of netpoll's pool as long as the
// connection has data: it takes frames without copying, waits for the rest of
// the first one, and flushes all that were there together.
func netpollRequest(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	for first := true; ; first = false {
		if !first && r.Len() < 4 {
			break
		}
		head, err := r.Peek(4)
		if err != nil {
			return err
		}
		n := 4 + int(binary.BigEndian.Uint32(head))
		if n > frameBytesMax {
			return c.Close()
		}
		if !first && r.Len() < n {
			break
		}
		frame, err := r.Next(n)
		if err != nil {
			return err
		}
		if _, err := w.WriteBinary(frame); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}
