package kring

import (
	"fmt"

	"kring/acceptor"
)

// What a server holds, as counted on Linux and rounded up: of the process the
// standard streams, the Go runtime's poller and what it reads of cgroups; of an
// engine its ring, and what wakes it.
const (
	ofProcess  = 16
	ofEngine   = 4
	ofListener = 2
)

// Descriptors plans what this process's descriptors are for (RLIMIT_NOFILE): the
// server's own, Conns.HandlerFiles, and connections. Conns.Max goes by it when it is 0.
func (c Config) Descriptors() Descriptors {
	conns := c.Conns.Max
	c = c.withDefaults()
	d := c.descriptors(conns)
	if conns == 0 {
		d.Conns = min(d.Conns, c.Conns.Max) // where memory is less than descriptors
	}
	return d
}

// descriptors plans for a Config that has its defaults, but perhaps Conns.Max.
func (c *Config) descriptors(conns int) Descriptors {
	engines, sockets := c.Processors.Count+len(c.Listeners), len(c.Listeners)
	if c.Processors.Accept == AcceptPerProcessor {
		engines, sockets = c.Processors.Count, c.Processors.Count*len(c.Listeners)
	}
	own := ofProcess + ofEngine*engines + ofListener*sockets
	return acceptor.PlanDescriptors(acceptor.DescriptorLimit(), own, c.Conns.HandlerFiles, conns)
}

// errNoRoom says that clients would be reset for want of descriptors, each of them.
func (s *Server) errNoRoom() error {
	d := s.cfg.descriptors(0)
	return fmt.Errorf("kring: too many open files before anybody connects: RLIMIT_NOFILE is %d, and the server itself needs about %d, and room for clients: "+
		"raise the limit (ulimit -n 65536; systemd: LimitNOFILE=65536; docker: --ulimit nofile=65536:65536), or have fewer processors than %d", d.Limit, d.Own, s.cfg.Processors.Count)
}
