package kring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"kring/engine"
	"kring/fallback/epoll"
	"kring/fallback/portable"
	"kring/uring"
)

// candidate is an engine that may serve.
type candidate struct {
	name Engine
	open func(Config) (engine.Network, error)
}

// candidates are the engines that cfg leaves to choose from, best first.
func candidates(cfg Config) []candidate {
	all := []candidate{{EngineURing, openURing}, {EngineEpoll, openEpoll}, {EnginePortable, openPortable}}
	return slices.DeleteFunc(all, func(c candidate) bool {
		if cfg.Engine == EngineAuto {
			return c.name == EngineEpoll && runtime.GOOS != "linux"
		}
		return c.name != cfg.Engine
	})
}

// chooseNetwork opens the best of some engines that works here, says why it is
// this one, and which are left. against is what stood in the way of better ones
// before. A wrong setting of an engine's is no reason for another engine.
func chooseNetwork(cfg Config, from []candidate, against string) (n engine.Network, why string, left []candidate, err error) {
	startPoller()
	for i, c := range from {
		n, err = c.open(cfg)
		if err == nil {
			if why = against; why == "" {
				why = n.Features()
			}
			return n, why, from[i+1:], nil
		}
		if errors.Is(err, uring.ErrSetting) {
			return nil, "", nil, err
		}
		against = alongside(against, err)
	}
	if cfg.Engine != EngineAuto {
		err = engineError(cfg.Engine, opChosen, err)
	}
	return nil, "", nil, err
}

// alongside is what stands in the way, in one line: an error may have several.
func alongside(against string, err error) string {
	says := strings.ReplaceAll(err.Error(), "\n", "; ")
	if against == "" {
		return says
	}
	return against + "; " + says
}

// startPoller has the Go runtime open its own poller before descriptors can run
// out: the runtime ends the process if it has to and can't.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		_ = r.Close()
		_ = w.Close()
	}
}

func openURing(cfg Config) (engine.Network, error)    { return uring.New(cfg.URing) }
func openEpoll(cfg Config) (engine.Network, error)    { return epoll.New(cfg.Epoll) }
func openPortable(cfg Config) (engine.Network, error) { return portable.New(cfg.Portable) }

// Engine is the name of the engine that serves.
func (s *Server) Engine() Engine { return Engine(s.now().network.Name()) }

// Why says why this engine serves: what it can use here, or what stood in the
// way of a better one.
func (s *Server) Why() string { return s.now().why }

// Describe says in one line which engine serves, why, and how it waits.
func (s *Server) Describe() string {
	now := s.now()
	dispatch := string(now.cfg.Dispatch.Mode)
	if now.cfg.Dispatch.Mode == DispatchPool {
		dispatch = fmt.Sprintf("pool of %d", now.cfg.Dispatch.Handlers)
	}
	processors := "1 processor"
	if n := now.cfg.Processors.Count; n > 1 {
		processors = fmt.Sprintf("%d processors", n)
	}
	if now.cfg.Processors.Accept == AcceptPerProcessor {
		processors += " accepting for themselves"
	}
	return fmt.Sprintf("%s (%s), %s %s, %s", now.network.Name(), now.why, processors, now.cfg.Processors.Wait, dispatch)
}

// ChooseEngine says which engine a Server of cfg would serve with here, and
// why, and fails as New would. It opens nothing that lasts.
func ChooseEngine(cfg Config) (chosen Engine, why string, err error) {
	if err := cfg.Validate(); err != nil {
		return "", "", fmt.Errorf("kring: configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	network, why, _, err := chooseNetwork(cfg, candidates(cfg), "")
	if err != nil {
		return "", "", fmt.Errorf("kring: %w", err)
	}
	return Engine(network.Name()), why, nil
}
