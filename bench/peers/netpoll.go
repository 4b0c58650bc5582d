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

// netpollRequest runs on a goroutine of netpoll's pool as long as the connection has
// data. Frames that are whole are taken together and answered by one write, without
// copying; of one that is not, netpoll waits for the rest. How much it reads at once it
// finds itself, from 8 KiB to 8 MiB.
func netpollRequest(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	n := 4 + int(binary.BigEndian.Uint32(head))
	if n > frameBytesMax {
		return c.Close()
	}
	if have := r.Len(); have > n {
		all, err := r.Peek(have)
		if err != nil {
			return err
		}
		if n, err = whole(all); err != nil {
			return c.Close()
		}
	}
	frames, err := r.Next(n)
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(frames); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}
