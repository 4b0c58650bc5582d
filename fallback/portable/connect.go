package portable

import (
	"context"
	"net"
	"syscall"

	"kring/engine"
)

// runConnect dials, until it is told to stop.
func (o *operation) runConnect() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-o.stop:
			cancel()
		case <-over:
		}
	}()
	d := net.Dialer{KeepAlive: -1} // configured when it is connected
	d.SetMultipathTCP(false)       // the same protocol as the other engines
	o.countCall()
	dialed, err := d.DialContext(ctx, "tcp", o.to.String())
	if err != nil {
		res := engine.Failed(errnoOf(err))
		if ctx.Err() != nil {
			res = engine.Failed(syscall.ECANCELED)
		}
		o.endWith(res)
		return
	}
	c := dialed.(conn) // Go's net: of TCP
	// A connection that can't be configured is broken: its first receive reports it.
	_ = configure(c, o.s.options)
	o.s.mu.Lock()
	o.s.conn = c
	shut := o.s.shut || o.abandoned
	o.s.mu.Unlock()
	if shut { // it was ended in this moment
		_ = c.SetDeadline(past)
	}
	o.endWith(0)
}
