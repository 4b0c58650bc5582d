package kring

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"kring/internal/fault"
)

// Reconfigure has the Server go by another Config while it serves. It is
// checked as a whole and taken as a whole: when a field is wrong, needs a
// restart to change, or what it asks for can't be opened, every fault is named
// and nothing has changed. docs/reconfigure.md says what each field takes
// effect on. Listeners are told apart by their names: what is new is opened,
// what is missing drains (see TimeoutsConfig.Drain), the others go on with other
// settings. The funcs of Config.Dispatch, Events and the Ready of a listener that is
// there stay what they were.
func (s *Server) Reconfigure(cfg Config) error { return s.ReconfigureWith(cfg, nil) }

// ReconfigureWith is Reconfigure for a program that has more to change as a whole: rules,
// certificates, users. then is called when nothing can fail any more: before new listeners
// accept and settings of others change; with an error it is not called. It must not block,
// and must not change the Server. nil: there is nothing else.
func (s *Server) ReconfigureWith(cfg Config, then func()) error {
	cfg = s.keepEngines(cfg)
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("kring: Reconfigure: %w", s.withRestarts(err, cfg))
	}
	cfg, plan := cfg.planned()
	limits, err := cfg.limits() // may take a while: it resolves names
	if err != nil {
		return fmt.Errorf("kring: Reconfigure: %w", s.withRestarts(err, cfg))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != started {
		return s.stage.errNotServing("Reconfigure")
	}
	s.keepGiven(cfg.Listeners)
	before, limitsBefore := s.now().cfg, s.admission.Limits()
	if err := needRestart(&before, &cfg); err != nil {
		return fmt.Errorf("kring: Reconfigure: %w", err)
	}
	cfg.Dispatch.APIOf, cfg.Dispatch.Deprecated, cfg.Dispatch.Priority = before.Dispatch.APIOf, before.Dispatch.Deprecated, before.Dispatch.Priority
	cfg.Dispatch.LongPoll = before.Dispatch.LongPoll
	cfg.Dispatch.LatencyCounts, cfg.Events = before.Dispatch.LatencyCounts, before.Events
	if err := s.admission.Set(limits); err != nil {
		return fmt.Errorf("kring: Reconfigure: %w", err)
	}
	if err := s.enlarge(cfg, then); err != nil {
		s.take(before)
		return errors.Join(err, s.admission.Set(limitsBefore))
	}
	s.planBy(plan)
	s.reduce()
	return nil
}

// withRestarts adds to the faults of cfg the fields that can't change while the Server
// serves, but for those that are wrong anyway.
func (s *Server) withRestarts(err error, cfg Config) error {
	var wrong, fixed *ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	cfg = cfg.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != started {
		return err
	}
	s.keepGiven(cfg.Listeners)
	if !errors.As(needRestart(&s.now().cfg, &cfg), &fixed) {
		return err
	}
	var faults fault.List
	for _, f := range wrong.Faults {
		faults = append(faults, fault.Fault(f))
	}
	for _, f := range fixed.Faults {
		if !slices.ContainsFunc(faults, func(of fault.Fault) bool { return of.Field == f.Field || strings.HasPrefix(of.Field, f.Field+".") }) {
			faults = append(faults, fault.Fault(f))
		}
	}
	return configError(faults)
}

// keepEngines has engines that cfg says nothing new about stay what they are: for another
// Memory.BytesMax, or more processors, other numbers of buffers might be planned.
func (s *Server) keepEngines(cfg Config) Config {
	now := s.now()
	auto := func(w Wait) bool { return w == "" || w == WaitAuto }
	if auto(cfg.Processors.Wait) && auto(s.given.Processors.Wait) {
		cfg.Processors.Wait = now.cfg.Processors.Wait // also when the first TLS listener comes, or the last goes
	}
	if reflect.DeepEqual(cfg.URing, s.given.URing) {
		cfg.URing = now.cfg.URing
	}
	if cfg.Epoll == s.given.Epoll {
		cfg.Epoll = now.cfg.Epoll
	}
	if cfg.Portable == s.given.Portable {
		cfg.Portable = now.cfg.Portable
	}
	return cfg
}

// keepGiven has listeners whose sockets were given go on with them: who calls Serve has
// a Config that says another address. mu is held.
func (s *Server) keepGiven(listeners []ListenerConfig) {
	for i, l := range listeners {
		for _, was := range s.now().cfg.Listeners {
			if was.Name == l.Name && was.Listener != nil && l.Listener == nil {
				listeners[i].Listener, listeners[i].Address = was.Listener, was.Address
			}
		}
	}
}

// take has what is opened from here on go by cfg. mu is held.
func (s *Server) take(cfg Config) {
	s.change(func(next *state) { next.cfg = cfg })
}

// enlarge opens what cfg has more than there is, which may fail, and then undoes
// what it did. mu is held.
func (s *Server) enlarge(cfg Config, then func()) error {
	before := s.now()
	s.take(cfg)
	had := len(before.processors)
	if n := cfg.Processors.Count - had; n > 0 {
		more, err := s.openProcessors(n)
		if err != nil {
			return err
		}
		s.serveWith(slices.Concat(before.processors, more))
	}
	begin := make(chan struct{}) // new listeners accept from then on
	defer close(begin)
	for i, l := range cfg.Listeners {
		if before.listener(l.Name) != nil {
			continue
		}
		if err := s.addListener(l, begin); err != nil {
			for _, added := range cfg.Listeners[:i] {
				if before.listener(added.Name) == nil {
					s.removeAside(s.now().listener(added.Name))
				}
			}
			s.shrink(had)
			return err
		}
	}
	if then != nil {
		then()
	}
	return nil
}

// reduce brings the rest to what the Config says by now: nothing of it fails.
// mu is held.
func (s *Server) reduce() {
	now, wanted := s.now(), map[string]ListenerConfig{}
	all := &now.cfg
	for _, l := range all.Listeners {
		wanted[l.Name] = l
	}
	for _, l := range now.listeners {
		cfg, stays := wanted[l.conns.Name()]
		if !stays {
			s.removeAside(l)
			continue
		}
		cfg = cfg.withDefaults(all)
		l.conns.Change(l.settings(&cfg, all))
		l.quota.TrustForwarders(cfg.ProxyProtocol)
		l.cfg.Store(&cfg)
	}
	s.held.SetMax(all.Memory.HeldBytesMax / 2)
	s.channel.SetBytesMax(all.Memory.RequestBytesMax, all.claimsSpare())
	s.responses.SetMax(all.Memory.ResponseBytesMax)
	s.refresh()
	if len(now.processors) > all.Processors.Count {
		s.shrink(all.Processors.Count)
	}
	if s.pool != nil {
		s.pool.Resize(all.Dispatch.Handlers)
	}
	s.paceRebalance()
}

// removeAside takes a listener out and drains it without being waited for.
// mu is held.
func (s *Server) removeAside(l *listener) {
	s.takeOut(l)
	bound := l.cfg.Load().Timeouts.Drain
	s.retiring.Go(func() {
		ctx, cancel := s.drainDeadline(bound)
		defer cancel()
		_ = s.drainListener(ctx, l) // what is cut off is counted
	})
}

// restart are the fields that need one, and why.
var restart = map[string]string{
	"Engine":                     "connections can't go from one engine's network to another's",
	"Dispatch.Mode":              "requests are on their way by the other",
	"Dispatch.QueuedRequestsMax": "the request channel is an array",
	"Dispatch.QueuedPriorityMax": "the request channel is an array",
	"Dispatch.BatchMax":          "handlers have it for their life",
	"Dispatch.LatencyTarget":     "the limiter learns for the life of the handlers",
	"Processors.Wait":            "a ring belongs to the thread that it was opened for",
	"Processors.Accept":          "listening sockets are shared from the beginning or not at all",
	"Processors.Gosched":         "processors have it for their life",
	"Processors.Assignment":      "acceptors have it for their life",
	"Conns.HandlerFiles":         "the Handler has opened them",
	"Measure.ClientIDsMax":       "what was counted is kept by client id",
	"Measure.SlowRequest":        "processors have it for their life",
	"Conns.RateWindows":          "what was measured is kept by window",
	"Conns.RateWindow":           "what was measured is kept by window",
	"Memory.HandlerBytes":        "the Handler has taken it",
	"URing":                      "rings are set up with it",
	"Epoll":                      "engines are set up with it",
	"Portable":                   "engines are set up with it",
}

// restartOfListener are the same for a listener that is there.
var restartOfListener = map[string]string{
	"Listener":   "remove the listener and add one on the other socket",
	"Address":    "remove the listener and add one at the other address",
	"SocketMode": "remove the listener and add it again",
	"Backlog":    "remove the listener and add it again",
	"Socket":     "remove the listener and add it again",
	"Privileged": "requests that are in flight have it; remove the listener and add it again",
}

// needRestart names every field that differs and can't change now.
func needRestart(was, is *Config) error {
	faults := differences("", reflect.ValueOf(*was), reflect.ValueOf(*is), restart)
	if was.Processors.Accept == AcceptPerProcessor && was.Processors.Count != is.Processors.Count {
		faults = append(faults, fault.Fault{Field: "Processors.Count", Says: "can't change while each accepts for itself: restart, or let one accept for all (Processors.Accept)"})
	}
	for _, l := range is.Listeners {
		i := slices.IndexFunc(was.Listeners, func(o ListenerConfig) bool { return o.Name == l.Name })
		if i < 0 {
			continue
		}
		faults = append(faults, differences("", reflect.ValueOf(was.Listeners[i].withDefaults(was)), reflect.ValueOf(l.withDefaults(is)),
			restartOfListener).In("Listeners["+l.Name+"].")...)
	}
	return configError(faults)
}

// differences compares the fields that have a reason not to change. A path may go into
// a group.
func differences(at string, was, is reflect.Value, fields map[string]string) (faults fault.List) {
	for i := range was.NumField() {
		path := at + was.Type().Field(i).Name
		why, fixed := fields[path]
		if fixed {
			a, b := was.Field(i).Interface(), is.Field(i).Interface()
			faults.Add(!reflect.DeepEqual(a, b), path, "can't change from %v to %v while the Server serves: %s", a, b, why)
		} else if was.Field(i).Kind() == reflect.Struct {
			faults = append(faults, differences(path+".", was.Field(i), is.Field(i), fields)...)
		}
	}
	return faults
}
