package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"kring"
	"kring/acl"
	"kring/echo"
	"kring/gateway"
	"kring/kafka"
	"kring/metrics"
	"kring/quota"
	"kring/telemetry"
	"kring/uring"
)

// service is the handler behind the network layer, and what belongs to it.
type service struct {
	handler   kring.Handler
	advertise advertiser                 // nil: the handler advertises nothing
	quotas    *quota.Quotas              // nil: no quotas
	upstreams *upstreams                 // of a gateway; nil: there is none
	started   func(*kring.Server)        // called when the server listens; nil: nothing to do
	release   func()                     // called before draining: answers requests that wait; nil: none do
	stopping  func()                     // called before the process drains for good: nothing waits for long any more
	close     func() error               // nil: nothing to close
	apis      kafka.Versions             // what is served, for /metrics; the zero value: no Kafka
	producers *kafka.Producers           // who produces, for /producers; nil: nobody watches
	topics    *kafka.TopicCounts         // what is done with each topic, for /metrics; nil: nobody counts
	telemetry *telemetry.State           // what clients push; nil: nothing
	leaders   func() (n int, known bool) // partitions that are led, for /metrics; nil: there are none
	// giveUp ends what no two processes may have at once, before another one takes over, and
	// takeBack begins it again; nil: there is nothing of the kind.
	giveUp, takeBack func() error
	// authenticated is called when nobody authenticates any more.
	authenticated func()
	// authentications counts what became of them, by listener; nil: there are none.
	authentications func() map[string]metrics.Authentications
}

// advertiser sets the addresses that clients are told. It is called when the server
// listens, and again when listeners or addresses have changed.
type advertiser func(c *serveCmd, log *slog.Logger, bound []netip.AddrPort)

// Run serves until a signal or a failure.
func (c *serveCmd) Run(p process) error {
	if brokenPipe != nil {
		signal.Ignore(brokenPipe) // a server outlives the reader of its log
	}
	hangups, leave := catchReread()
	defer leave()
	log, level := c.logger(p.stderr)
	again := newRereads(log)
	again.told = newNotifier(log)
	defer again.told.end()
	up, err := c.newUpgrade(log, again.told)
	if err != nil {
		return err
	}
	defer up.end()
	l := &live{log: log, level: level, again: p.again, parts: again, start: c, certified: []*serveCmd{c}}
	p.logSettings(log)
	cfg := c.serverConfig()
	if c.Config != "" { // before all others: they go by what it will be
		again.add(l.rereadConfig())
	}
	if part, any := c.rereadTLS(log, l.leaves); any {
		again.add(part)
	}
	if err := errors.Join(c.secure(&cfg)...); err != nil {
		return usageError{err}
	}
	l.publishSources()
	c.warnTLS(log)
	if err := cfg.Validate(); err != nil {
		return usageError{inFlags(err)}
	}
	side, err := c.openHTTP(log, up.from != nil)
	if err != nil {
		return err
	}
	defer side.end()
	refused := newRefusals(log, refusalsEvery)
	l.now = &running{c: c, flags: p.command.Selected().Flags, cfg: cfg}
	l.drain.Store(int64(c.DrainTimeout))
	if err := up.beforeHandler(cfg); err != nil {
		refused.end()
		return err
	}
	served, err := c.open(log, refused, again, l.settings)
	if err != nil {
		refused.end()
		return err
	}
	closed := newCloseLog(log)
	cfg.Events = events(log, closed, refused)
	slow := newSlowLog(log, time.Now)
	cfg.Events.SlowRequest = slow.add
	side.watch(&cfg.Events)
	c.logDescriptors(log, cfg)
	logMemory(log, cfg)
	l.now.cfg, l.served = cfg, served
	err = c.serve(p, l, up, side, again, hangups)
	if errors.Is(err, errSecondSignal) {
		return err // at once: what the cluster acknowledged is written already
	}
	closed.end()
	slow.end()
	refused.end()
	served.authenticated()
	if served.close != nil {
		err = errors.Join(err, served.close())
	}
	return err
}

// logSettings logs what is odd about the settings, and which file they are from.
func (p process) logSettings(log *slog.Logger) {
	for _, note := range p.notes {
		log.Warn(note)
	}
	if p.settings == nil || p.settings.file == nil {
		return
	}
	f := p.settings.file
	say := []any{"file", f.path, "settings", len(f.flags) + len(f.settings)}
	if len(f.ignored) > 0 {
		say = append(say, "ignored", strings.Join(f.ignored, " "))
	}
	log.Info("the configuration was read", say...)
}

// open makes the handler that the flags name. What it reads from files that may change
// goes into again.
func (c *serveCmd) open(log *slog.Logger, refused *refusals, again *rereads, settings func() *serveCmd) (service, error) {
	quotas, err := c.quotas()
	if err != nil {
		return service{}, usageError{err}
	}
	if quotas != nil && (c.Quotas.QuotaFile != "" || c.Config != "") {
		again.add(rereadQuotas(quotas, settings))
	}
	var rules *acl.File
	denied := &denials{log: log}
	if c.Rules.ACL != "" {
		again.add(rereadACL(&rules, settings))
	}
	if rules, err = c.authorizer(); err != nil {
		return service{}, usageError{err}
	}
	who, err := c.authentication(log, again)
	if err != nil {
		return service{}, usageError{err}
	}
	served, err := c.openHandler(log, refused, guards{quotas, rules, denied, who, again, new(atomic.Pointer[gateway.Credentials])})
	if err == nil {
		served, err = c.Recording.before(served, log)
	}
	if err != nil {
		who.close()
		return served, err
	}
	served.authenticated, served.authentications = who.close, who.stats
	waits := served.stopping
	served.stopping = func() {
		who.drain()
		if waits != nil {
			waits()
		}
	}
	return served, nil
}

// guards is what stands in front of a handler.
type guards struct {
	quotas *quota.Quotas // nil: no quotas
	rules  *acl.File     // nil: everybody may do everything
	denied *denials
	who    *authentication
	again  *rereads
	// upstream is who a gateway is to the brokers.
	upstream *atomic.Pointer[gateway.Credentials]
}

// openHandler makes the handler behind its guards.
func (c *serveCmd) openHandler(log *slog.Logger, refused *refusals, by guards) (service, error) {
	pushed, err := c.Telemetry.state()
	if err != nil {
		return service{}, usageError{err}
	}
	switch c.Handler {
	case handlerNull:
		n, err := c.openNull(pushed != nil)
		if err != nil {
			return service{}, usageError{inFlags(err)}
		}
		filter := kafka.NewFilter(n.Versions(), n)
		filter.Producers, filter.TopicCounts = c.producers(n), c.topicCounts(n)
		filter.Quotas, filter.Rejected = by.quotas, refused.add
		if by.rules != nil { // nil in an interface is an Authorizer
			filter.Authorizer, filter.Topics, filter.Denied = by.rules, n, by.denied.add
		}
		filter.SASL, filter.Telemetry = by.who.sasl, pushed
		return service{handler: filter, telemetry: pushed, quotas: by.quotas, advertise: advertiseNull(n), release: n.Close, apis: n.Versions(), producers: filter.Producers, topics: filter.TopicCounts}, nil
	case handlerEcho:
		return service{handler: echo.Handler{}}, nil
	case handlerGateway:
		return c.openGateway(log, refused, by, pushed)
	}
	cfg := c.clusterConfig()
	cfg.Logger, cfg.Quotas, cfg.Rejected = log, by.quotas, refused.add
	if by.rules != nil { // nil in an interface is an Authorizer
		cfg.Authorizer, cfg.Denied = by.rules, by.denied.add
	}
	cfg.Producers, cfg.TopicCounts = c.producers(nil), c.topicCounts(nil)
	cfg.SASL, cfg.SCRAMUsers = by.who.sasl, by.who.scramUsers()
	cfg.Telemetry = pushed
	if err := cfg.Validate(); err != nil {
		return service{}, usageError{inFlags(err)}
	}
	cluster, err := openCluster(cfg)
	if err != nil {
		return service{}, err
	}
	return service{
		handler: cluster, telemetry: pushed, quotas: by.quotas, advertise: cluster.advertise, release: cluster.drain, close: cluster.close, apis: cluster.versions(), leaders: cluster.leaders, producers: cfg.Producers, topics: cfg.TopicCounts,
		giveUp: cluster.close, takeBack: cluster.takeBack,
	}, nil
}

func (c *serveCmd) serve(p process, l *live, up *upgrade, side *sideDoor, again *rereads, hangups <-chan os.Signal) error {
	log, cfg, served := l.log, l.now.cfg, l.served
	server, err := kring.New(cfg, served.handler)
	if errors.Is(err, uring.ErrSetting) {
		return usageError{inFlags(err)}
	}
	if err != nil {
		return err
	}
	if l.server = server; len(c.Limits.IPLimit) > 0 && c.Config == "" {
		again.add(rereadHosts(server, cfg))
	}
	if err := up.inherit(server, side); err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer giveBack()()
	if served.advertise != nil {
		served.advertise(c, log, server.Addrs())
	}
	if served.started != nil {
		served.started(server)
	}
	if err := side.begin(server, served); err != nil {
		return err
	}
	defer again.start(hangups)()
	// Order: who waits for the ready line and then starts the next process finds the socket.
	if err := up.offer(l, side); err != nil {
		return errors.Join(err, c.shutDown(p, l, server.Shutdown))
	}
	ready := newLines(p.stdout, func(err error) { // serving does not wait for its reader
		log.Warn("the ready line could not be written", "error", err)
	})
	defer ready.end()
	at := c.addresses(server)
	fmt.Fprintln(ready, c.readyLine(server.Describe(), server.MemoryPlan(), at))
	again.told.ready("serving on " + oneLine(strings.Join(at, ", ")))
	again.told.watch(server.Alive)
	s, err := nextStop(p, log, server, up.stops())
	if errors.Is(err, errSucceeded) {
		up.succeeded(side, l.drainTimeout())
		if served.release != nil {
			served.release()
		}
		return c.shutDown(p, l, server.Retire)
	}
	if s == nil {
		log.Error("stopping: a part of the server failed", "error", err)
	} else {
		log.Info("stopping: no new connections, finishing what is in flight", "signal", s.String(), "drain_timeout", l.drainTimeout())
	}
	again.told.say("STOPPING=1")
	side.drain()
	if served.release != nil {
		served.release()
	}
	served.stopping()
	err = errors.Join(err, c.shutDown(p, l, server.Shutdown))
	up.leave(side)
	return err
}

// readyLine is the one line on standard output. Its format is documented in main.go.
func (c *serveCmd) readyLine(engine string, memory kring.MemoryPlan, addresses []string) string {
	return oneLine(fmt.Sprintf("kring: ready on %s · %s · %s · handler %s", strings.Join(addresses, ", "), inAdvice(engine), memory, handlerSays[c.Handler]))
}

// handlerSays is the handler's name in the ready line. It says that the embedded
// cluster is not for production.
var handlerSays = map[string]string{
	handlerEmbedded: handlerEmbedded + " (one-node development broker)",
	handlerNull:     handlerNull,
	handlerEcho:     handlerEcho,
	handlerGateway:  handlerGateway,
}

// oneLine escapes characters that would end a line or move a terminal's cursor. An
// error may have several lines, and a socket's path any character.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

var errSecondSignal = errors.New("a second signal came: exited without finishing what was in flight")

// shutDown drains the server by end. A second signal ends the wait.
func (c *serveCmd) shutDown(p process, l *live, end func(context.Context) error) error {
	log, server := l.log, l.server
	ctx, cancel := context.WithTimeout(context.Background(), l.drainTimeout())
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- end(ctx) }()
	s, err := afterRepeats(p, log, server, drained, signalRepeat)
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

// signalRepeat is how long after a signal the same one is ignored: timeout(1) sends
// its signal to the process and then to its process group. A machine that is busy may let
// some time pass between the two.
const signalRepeat = 500 * time.Millisecond

// afterRepeats is nextStop for who has been signalled: for so long repetitions are ignored, and
// all those that came meanwhile, however late this goroutine gets to see them.
func afterRepeats(p process, log *slog.Logger, server *kring.Server, over <-chan error, long time.Duration) (os.Signal, error) {
	enough := time.NewTimer(long)
	defer enough.Stop()
	for {
		select {
		case <-enough.C:
			for len(p.signals) > 0 {
				<-p.signals
			}
			return nextStop(p, log, server, over)
		case <-p.signals:
		case <-p.asks:
			logState(log, server.Stats())
		case err := <-over:
			return nil, err
		}
	}
}

// summarize logs the totals at the end.
func summarize(log *slog.Logger, st kring.Stats) {
	log.Info("stopped",
		"connections", st.Accepted, "refused", st.Refused+st.Unassigned,
		"requests", st.Total.Requests, "responses", st.Total.Responses, "throttled", st.Total.Throttles, "waited", st.Waited,
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

// addresses are those of all listeners, as text, and which of them systemd opened.
func (c *serveCmd) addresses(server *kring.Server) (all []string) {
	for _, l := range server.Listeners() {
		if c.activation.sockets[l.Name] != nil || c.activation.inherited[l.Name] != "" {
			l.Address += " (systemd)"
		}
		all = append(all, l.Address)
	}
	return all
}
