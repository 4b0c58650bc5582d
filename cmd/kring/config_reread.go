package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"kring"
	"kring/tlsconf"
)

// live is what the program goes by while SIGHUP rereads the file of --config.
//
// Owner: the goroutine of rereads, but for drain.
type live struct {
	log    *slog.Logger
	level  *slog.LevelVar
	server *kring.Server
	served service
	again  func() (*kong.Context, *settings, error)

	parts     *rereads
	certified []*serveCmd // whose TLS.sources listeners have; each listener is in one of them at most
	start     *serveCmd   // what the handler was opened with
	now, next *running
	took      bool         // the last prepare was applied
	drain     atomic.Int64 // --drain-timeout; written by the owner, read by the goroutine that stops
	// sources are those of certified, a copy: written by the owner, read by the one that hands over.
	sources atomic.Pointer[[]namedSource]
}

// running is settings that the program went by, goes by or will go by.
type running struct {
	c       *serveCmd
	flags   []*kong.Flag // their values are c's
	cfg     kring.Config
	env     *settings
	changed []string // for the log
	added   *reread  // the certificates of listeners that are new, or get others; nil: there are none
	renewed []string // these listeners
}

// liveFlags are flags that can change while the program serves, beside those that are a
// field of kring.Config: Reconfigure says which of these need a restart. All others are
// taken at the start.
var liveFlags = []string{"listen", "listener", "advertise", "log-level", "drain-timeout", "quota", "quota-file"}

// startFlags are flags of a field that Reconfigure does not change, or that the handler has
// taken too.
var startFlags = []string{"priority-api", "max-throttle", "data-dir", "memory-log-bytes-max", "partitions", "seed-topic"}

// canChange says whether a flag's value may be another after a reread.
func canChange(flag string) bool {
	if slices.Contains(startFlags, flag) {
		return false
	}
	for _, of := range flagOfField {
		if of == flag {
			return true
		}
	}
	return slices.Contains(liveFlags, flag) || strings.HasPrefix(flag, tlsPrefix)
}

// tlsPrefix begins the flags and settings of certificates and of what TLS goes by.
const tlsPrefix = "tls-"

// rereadConfig has the file of --config be read again, as a whole.
func (l *live) rereadConfig() reloadable {
	return reloadable{
		again: "the configuration was read again", kept: "the configuration stays as it was",
		says: func() []any {
			say := []any{"file", l.now.c.Config}
			if l.took {
				say = append(say, "changed", orNone(strings.Join(l.now.changed, "; ")), "listening", strings.Join(l.start.addresses(l.server), ", "))
			}
			return say
		},
		prepare: func() (func() error, error) {
			next, err := l.prepare()
			l.next, l.took = next, false
			return nil, err
		},
		around: l.apply,
		after:  func() { l.next = nil },
	}
}

// settings are those that will be gone by, while something is prepared.
func (l *live) settings() *serveCmd {
	if l.next != nil {
		return l.next.c
	}
	return l.now.c
}

// prepare reads and checks the settings, and names those that need a restart.
func (l *live) prepare() (*running, error) {
	command, env, err := l.again()
	if err != nil {
		return nil, errors.New(env.attribute(strings.TrimPrefix(err.Error(), "serve: ")))
	}
	next := &running{c: selectedServe(command), flags: command.Selected().Flags, env: env}
	next.c.inherit(l.start)
	var faults []error
	for i, flag := range next.flags {
		was := l.now.flags[i]
		if sameValue(flag.Target.Interface(), was.Target.Interface()) {
			continue
		}
		if flag.Name == "listener" {
			faults = append(faults, next.compareSettings(l.now.c)...)
			continue
		}
		if !canChange(flag.Name) || flag.Name == "advertise" && next.c.Handler != handlerEmbedded {
			faults = append(faults, fmt.Errorf("--%s can't change from %s to %s while kring serves: restart it", flag.Name, orNone(textOf(was, was.Target)), orNone(textOf(flag, flag.Target))))
		}
		next.changed = append(next.changed, fmt.Sprintf("--%s from %s to %s", flag.Name, orNone(textOf(was, was.Target)), orNone(textOf(flag, flag.Target))))
	}
	if most, is := l.start.pipelineMost(), next.c.pipelineMost(); is > most && next.c.Handler == handlerEmbedded {
		faults = append(faults, fmt.Errorf("--pipeline can't be more than %d while kring serves, and is %d: the cluster was opened for so many; restart it", most, is))
	}
	faults = append(faults, next.c.addedSASL(l.start, l.now.c)...)
	next.cfg = next.c.serverConfig()
	faults = append(faults, next.keep(l)...)
	if err := next.cfg.Validate(); err != nil {
		faults = append(faults, unjoin(inFlags(err))...)
	}
	if len(faults) > 0 {
		return nil, errors.New(env.attribute(errors.Join(faults...).Error()))
	}
	return next, nil
}

// sameValue compares two values of a flag. A secret that a file has is the same while its file is:
// what is in the file is read again by itself, and may be another now.
func sameValue(a, b any) bool {
	if x, is := a.(secret); is {
		if y := b.(secret); x.file() != "" || y.file() != "" {
			return x.file() == y.file()
		}
	}
	return reflect.DeepEqual(a, b)
}

// keep has the Config keep what the handler has taken, and the listeners that there are
// their certificates, which are read again by themselves, unless their flags changed. In
// everything else listeners are completed as at the start.
func (r *running) keep(l *live) (faults []error) {
	was := &l.now.cfg
	r.cfg.Conns.HandlerFiles, r.cfg.Memory.HandlerBytes = was.Conns.HandlerFiles, was.Memory.HandlerBytes
	part, _ := r.c.rereadTLS(l.log, l.leaves)
	seen := filesNow(part.watched) // before secure reads them
	faults = r.c.secure(&r.cfg)
	for i, of := range r.cfg.Listeners {
		at := slices.IndexFunc(was.Listeners, func(o kring.ListenerConfig) bool { return o.Name == of.Name })
		if at >= 0 && sameTLS(l.now.c, r.c, of.Name) {
			r.cfg.Listeners[i].TLS = was.Listeners[at].TLS
			continue
		}
		r.renewed = append(r.renewed, of.Name)
	}
	r.c.TLS.sources = slices.DeleteFunc(r.c.TLS.sources, func(s namedSource) bool { return !slices.Contains(r.renewed, s.listener) })
	if c := r.c; len(c.TLS.sources) > 0 {
		r.added = &reread{reloadable: part, seen: seen, gone: func() bool { return len(c.TLS.sources) == 0 }}
	}
	return faults
}

// sameTLS says that a listener would have the same files and settings of TLS by both. What
// is in the files may differ: it is read again by itself.
func sameTLS(a, b *serveCmd, listener string) bool {
	filesOf := func(c *serveCmd) (tlsconf.Files, error) {
		flags, err := c.tlsOf(listener)
		if err != nil || !c.security(listener).TLS() {
			return tlsconf.Files{}, err
		}
		return flags.files()
	}
	before, err := filesOf(a)
	after, err2 := filesOf(b)
	return err == nil && err2 == nil && reflect.DeepEqual(before, after)
}

// leaves says that a listener goes, or gets another certificate, by what is prepared.
func (l *live) leaves(listener string) bool {
	return l.next != nil && (slices.Contains(l.next.renewed, listener) || !hasListener(l.next.c, listener))
}

// handOver has each listener's certificates be read again by one serveCmd only: the last that
// gave it any. l.now is what holds from here on.
func (l *live) handOver() {
	for _, c := range l.certified {
		c.TLS.sources = slices.DeleteFunc(c.TLS.sources, func(s namedSource) bool {
			return slices.Contains(l.now.renewed, s.listener) || !hasListener(l.now.c, s.listener)
		})
	}
	l.certified = slices.DeleteFunc(l.certified, func(c *serveCmd) bool { return len(c.TLS.sources) == 0 })
	if len(l.now.c.TLS.sources) > 0 {
		l.certified = append(l.certified, l.now.c)
		l.now.c.warnTLS(l.log)
	}
	l.publishSources()
}

// publishSources has the next process be given the session tickets of all that listeners have now.
func (l *live) publishSources() {
	var all []namedSource
	for _, c := range l.certified {
		all = append(all, c.TLS.sources...)
	}
	l.sources.Store(&all)
}

// tickets are the keys of session tickets, as the next process looks for them. Any goroutine.
func (l *live) tickets() map[string][]byte {
	all := map[string][]byte{}
	if sources := l.sources.Load(); sources != nil {
		for _, s := range *sources {
			if keys := s.source.Tickets(); keys != nil {
				all[ticketsOf(s.listener)] = keys
			}
		}
	}
	return all
}

// compareSettings returns the faults of settings of listeners that changed, and notes the
// changes. What the network layer knows, it judges.
func (r *running) compareSettings(was *serveCmd) (faults []error) {
	names := map[string]bool{}
	for _, s := range slices.Concat(was.Sockets.Listener, r.c.Sockets.Listener) {
		names[s.listener+"."+s.setting] = true
	}
	for path := range names {
		listener, setting, _ := strings.Cut(path, ".")
		before, _ := was.ownSetting(listener, setting)
		after, _ := r.c.ownSetting(listener, setting)
		if before == after {
			continue
		}
		_, ofServer := listenerSettings[setting]
		shown := fmt.Sprintf("--listener %s from %s to %s", path, orNone(before), orNone(after))
		if !ofServer && setting != advertiseSetting {
			shown = "--listener " + path // it may be a secret
			if !strings.HasPrefix(setting, tlsPrefix) && hasListener(was, listener) && hasListener(r.c, listener) {
				faults = append(faults, fmt.Errorf("--listener %s can't change while kring serves: restart it", path))
			}
		}
		r.changed = append(r.changed, shown)
	}
	slices.Sort(r.changed)
	return faults
}

func hasListener(c *serveCmd, name string) bool {
	return slices.ContainsFunc(c.listeners(), func(l kring.ListenerConfig) bool { return l.Name == name })
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// apply takes next, and rest what else was read again: rules hold before anybody comes by a
// listener that is new. If the server refuses next, nothing has changed.
func (l *live) apply(rest func()) error {
	if err := l.server.ReconfigureWith(l.next.cfg, rest); err != nil {
		return errors.New(l.next.env.attribute(strings.TrimPrefix(inFlags(err).Error(), "Reconfigure: ")))
	}
	if l.next.cfg.MemoryPlan() != l.now.cfg.MemoryPlan() {
		logMemory(l.log, l.next.cfg)
	}
	l.now, l.next, l.took = l.next, nil, true
	l.handOver()
	l.parts.renew(l.now.added)
	l.drain.Store(int64(l.now.c.DrainTimeout))
	l.level.Set(levelOf(l.now.c.LogLevel))
	if l.served.advertise != nil {
		l.served.advertise(l.now.c, l.log, l.bound())
	}
	return nil
}

// bound are the addresses of the listeners, in the order of the settings.
func (l *live) bound() []netip.AddrPort {
	at := map[string]netip.AddrPort{}
	for _, of := range l.server.Listeners() {
		at[of.Name], _ = netip.ParseAddrPort(of.Address) // zero for a Unix domain socket
	}
	var all []netip.AddrPort
	for _, of := range l.now.c.listeners() {
		all = append(all, at[of.Name])
	}
	return all
}

// drainTimeout is how long requests in flight may take to finish.
func (l *live) drainTimeout() time.Duration { return time.Duration(l.drain.Load()) }
