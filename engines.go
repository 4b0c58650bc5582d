package kring

import (
	"fmt"
	"os"
	"runtime"

	"kring/engine"
	"kring/fallback/epoll"
	"kring/fallback/portable"
	"kring/uring"
)

// chooseNetwork opens the engine that cfg names, or the best that works here,
// and says why it is this one.
func chooseNetwork(cfg Config) (engine.Network, string, error) {
	startPoller()
	switch cfg.Engine {
	case EngineURing:
		return named(openURing(cfg))
	case EngineEpoll:
		return named(openEpoll(cfg))
	case EnginePortable:
		return named(portable.New(cfg.Portable))
	}
	n, err := openURing(cfg)
	if err == nil {
		return n, n.Features(), nil
	}
	why := err.Error()
	if runtime.GOOS == "linux" {
		n, err := openEpoll(cfg)
		if err == nil {
			return n, why, nil
		}
		why += "; " + err.Error()
	}
	n, err = portable.New(cfg.Portable)
	return n, why, err
}

// startPoller has the Go runtime open its own poller before descriptors can run
// out: the runtime ends the process if it has to and can't.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		_ = r.Close()
		_ = w.Close()
	}
}

func named(n engine.Network, err error) (engine.Network, string, error) {
	if err != nil {
		return nil, "", fmt.Errorf("the engine asked for can't run here: %w (engine auto would choose one that can)", err)
	}
	return n, n.Features(), nil
}

func openURing(cfg Config) (engine.Network, error) { return uring.New(cfg.URing) }
func openEpoll(cfg Config) (engine.Network, error) { return epoll.New(cfg.Epoll) }

// Engine is the name of the engine that serves.
func (s *Server) Engine() string { return s.network.Name() }

// Why says why this engine serves: what it can use here, or what stood in the
// way of a better one.
func (s *Server) Why() string { return s.why }

// Describe says in one line which engine serves, why, and how it waits.
func (s *Server) Describe() string {
	dispatch := s.cfg.Dispatch
	if dispatch == DispatchPool {
		dispatch = fmt.Sprintf("pool of %d", s.cfg.Handlers)
	}
	processors := "1 processor"
	if n := s.cfg.Processors; n > 1 {
		processors = fmt.Sprintf("%d processors", n)
	}
	return fmt.Sprintf("%s (%s), %s %s, %s", s.Engine(), s.why, processors, s.cfg.Wait, dispatch)
}
