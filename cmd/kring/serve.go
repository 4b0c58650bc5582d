package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"kring"
	"kring/echo"
	"kring/embedded"
	"kring/kafka"
	"kring/quota"
)

// service is what stands behind the network layer.
type service struct {
	handler   kring.Handler
	advertise func(host string, port uint16) // nil: nobody asks for our address
	quotas    *quota.Quotas                  // nil: nobody has any
	release   func()                         // before draining: answers what waits; nil: nothing does
	close     func() error                   // nil: nothing to close
}

// Run serves until a signal or a failure.
func (c *serveCmd) Run(p process) error {
	log := c.logger(p.stderr)
	cfg := c.serverConfig()
	if err := cfg.Validate(); err != nil {
		return usageError{inFlags(err)}
	}
	served, err := c.open(log)
	if err != nil {
		return err
	}
	closed := newCloseLog(log)
	cfg.Events = events(log, closed)
	err = c.serve(p, log, cfg, served)
	if errors.Is(err, errSecondSignal) {
		return err // at once: what the cluster acknowledged is written already
	}
	closed.end()
	if served.close != nil {
		err = errors.Join(err, served.close())
	}
	return err
}

// open makes the handler that the flags name.
func (c *serveCmd) open(log *slog.Logger) (service, error) {
	quotas, err := c.quotas()
	if err != nil {
		return service{}, usageError{err}
	}
	switch c.Handler {
	case handlerNull:
		n, err := kafka.NewNull(kafka.NullConfig{Advertise: c.Advertise, PartitionsDefault: c.Partitions})
		if err != nil {
			return service{}, usageError{err}
		}
		door := kafka.NewDoor(n.Versions(), n)
		door.Quotas = quotas
		return service{handler: door, quotas: quotas, release: n.Close}, nil
	case handlerEcho:
		return service{handler: echo.Handler{}}, nil
	}
	cfg := c.clusterConfig()
	cfg.Logger, cfg.Quotas = log, quotas
	if err := cfg.Validate(); err != nil {
		return service{}, usageError{err}
	}
	cluster, err := embedded.Open(cfg)
	if err != nil {
		return service{}, err
	}
	return service{handler: cluster, quotas: quotas, advertise: cluster.Advertise, release: cluster.Drain, close: cluster.Close}, nil
}

func (c *serveCmd) serve(p process, log *slog.Logger, cfg kring.Config, served service) error {
	server, err := kring.New(cfg, served.handler)
	if err != nil {
		return err
	}
	defer c.rereadOnSignal(log, server, cfg, served.quotas)()
	if err := server.Start(); err != nil {
		return err
	}
	if served.advertise != nil {
		host, port := c.advertised(log, server.Addrs()[0])
		served.advertise(host, port)
	}
	if _, err := fmt.Fprintln(p.stdout, c.readyLine(server.Describe(), server.Addresses())); err != nil {
		log.Warn("the ready line could not be written", "error", err)
	}
	s, err := nextStop(p, log, server, server.Failed())
	if s == nil {
		log.Error("stopping: a part of the server failed", "error", err)
	} else {
		log.Info("stopping: no new connections, finishing what is in flight", "signal", s.String(), "drain_timeout", c.DrainTimeout)
	}
	if served.release != nil {
		served.release()
	}
	return errors.Join(err, c.shutDown(p, log, server))
}

// readyLine is the one line on standard output; its form is documented with
// the program.
func (c *serveCmd) readyLine(engine string, addresses []string) string {
	return fmt.Sprintf("kring: ready on %s · %s · handler %s", strings.Join(addresses, ", "), engine, c.Handler)
}

// advertised is where clients are told to connect to: what the operator said,
// or where we listen.
func (c *serveCmd) advertised(log *slog.Logger, bound netip.AddrPort) (host string, port uint16) {
	if c.Advertise != "" {
		host, port, _ = splitAddress(c.Advertise) // Validate has seen it
		return host, port
	}
	if !bound.Addr().IsUnspecified() {
		return bound.Addr().String(), bound.Port()
	}
	local := net.JoinHostPort("localhost", strconv.Itoa(int(bound.Port())))
	log.Warn("clients on other machines will not find this server: it listens on every address and is told none; name one with --advertise",
		"listen", bound.String(), "advertised", local)
	return "localhost", bound.Port()
}

var errSecondSignal = errors.New("a second signal came: exited without finishing what was in flight")

// shutDown drains the server; a second signal does not wait for it.
func (c *serveCmd) shutDown(p process, log *slog.Logger, server *kring.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- server.Shutdown(ctx) }()
	s, err := nextStop(p, log, server, drained)
	if s != nil {
		log.Warn("exiting at once", "signal", s.String())
		return errSecondSignal
	}
	if err != nil {
		log.Warn("--drain-timeout passed: the connections that were left are cut off", "error", err)
	}
	summarize(log, server.Stats())
	return nil
}

// summarize says at the end what there was.
func summarize(log *slog.Logger, st kring.Stats) {
	log.Info("stopped",
		"connections", st.Accepted, "refused", st.Refused+st.Unassigned,
		"requests", st.Total.Requests, "responses", st.Total.Responses, "throttled", st.Total.Throttles,
		slog.Any("closed", counts(st.ClosedBy())))
	e := st.Engines
	log.Debug("what the engines counted",
		"enters", e.Enters, "submitted", e.Submitted, "completed", e.Completed,
		"submitted_per_enter", e.SubmittedPerEnter(), "completed_per_enter", e.CompletedPerEnter(),
		"bytes_direct", st.Total.BytesDirect, "bytes_in_copied", st.Total.BytesInCopied, "bytes_out_copied", st.Total.BytesOutCopied,
		"wakes", e.Wakes, "wakes_suppressed", e.WakesSuppressed,
		"exhausted", e.Exhausted, "starved", e.Starved, "rearmed", e.Rearmed, "overflows", e.Overflows,
		"short_sends", e.ShortSends, "zero_copy_sends", e.ZeroCopySends, "zero_copy_copied", e.ZeroCopyCopied, "registered", e.Registered, "followed", e.Followed,
		"kernel_threads", kring.KernelThreads())
}
