package main

import (
	"runtime"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
)

func serveNbio(addr string) error {
	logging.SetLevel(logging.LevelError)
	engine := nbio.NewEngine(nbio.Config{Network: "tcp", Addrs: []string{addr}, NPoller: runtime.GOMAXPROCS(0), ReadBufferSize: readBytes})
	engine.OnOpen(func(c *nbio.Conn) {
		c.SetSession(&nbioRest{})
		_ = c.SetNoDelay(true)
	})
	engine.OnData(nbioData)
	if err := engine.Start(); err != nil {
		return err
	}
	ready(addr)
	select {}
}

// nbioRest is the part of a frame whose rest has not come yet.
type nbioRest struct{ b []byte }

// nbioData writes every whole frame at once, straight from the poller's memory
// when nothing was left over from before.
func nbioData(c *nbio.Conn, data []byte) {
	rest := c.Session().(*nbioRest)
	if len(rest.b) > 0 {
		rest.b = append(rest.b, data...)
		data = rest.b
	}
	n, err := whole(data)
	if err != nil {
		_ = c.Close()
		return
	}
	if n > 0 {
		if _, err := c.Write(data[:n]); err != nil {
			return // nbio has closed it
		}
	}
	// Either data is rest.b, and what is left moves to its front, or it is the
	// poller's and what is left is kept.
	rest.b = append(rest.b[:0], data[n:]...)
}
