package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"kring"
	"kring/embedded"
	"kring/kafka"
)

// cluster is the embedded cluster, which can be closed for the next process and opened again
// if that fails. While it is closed nobody is connected.
type cluster struct {
	cfg embedded.Config
	now atomic.Pointer[embedded.Cluster]

	// Owner: the goroutine that starts the program, and then that of the handover.
	advertiser advertiser
	advertised func() // says the addresses again, to a cluster that was opened again
}

func openCluster(cfg embedded.Config) (*cluster, error) {
	c := &cluster{cfg: cfg}
	return c, c.open()
}

func (c *cluster) open() error { return c.openAfter(0) }

// openAfter opens the cluster once no other process has its directory, which it waits for.
func (c *cluster) openAfter(patience time.Duration) error {
	cfg := c.cfg
	cfg.InUseWait = patience
	opened, err := embedded.Open(cfg)
	if err != nil {
		return err
	}
	c.now.Store(opened)
	c.advertiser = advertiseCluster(opened)
	return nil
}

// advertise is an advertiser.
func (c *cluster) advertise(of *serveCmd, log *slog.Logger, bound []netip.AddrPort) {
	c.advertised = func() { c.advertiser(of, log, bound) }
	c.advertised()
}

// reopenPatience is how long a process that failed to take over may hold the directory.
const reopenPatience = time.Minute

// takeBack opens the cluster again, once the process that was to have it has ended.
func (c *cluster) takeBack() error {
	if err := c.openAfter(reopenPatience); err != nil {
		return fmt.Errorf("the cluster can't be opened again: %w", err)
	}
	c.advertised()
	return nil
}

// Handle and what follows are the cluster's.
func (c *cluster) Handle(r kring.Request)                           { c.now.Load().Handle(r) }
func (c *cluster) APIOf(payload []byte) (key, version int16)        { return kafka.APIOf(payload) }
func (c *cluster) ConnOpened(conn *kring.Conn)                      { c.now.Load().ConnOpened(conn) }
func (c *cluster) ConnClosed(conn *kring.Conn, w kring.CloseReason) { c.now.Load().ConnClosed(conn, w) }
func (c *cluster) drain()                                           { c.now.Load().Drain() }
func (c *cluster) close() error                                     { return c.now.Load().Close() }
func (c *cluster) versions() kafka.Versions                         { return c.now.Load().Versions() }

// leaders is how many partitions the cluster leads: all that there are.
func (c *cluster) leaders() (int, bool) {
	n, err := c.now.Load().Partitions()
	return n, err == nil
}
