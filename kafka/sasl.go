package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"kring"
	"kring/internal/measure"
	"kring/reqchan"
	"kring/sasl"
)

// SASLConfig is how the clients of a listener authenticate. Mechanisms are required.
type SASLConfig struct {
	// Mechanisms are offered in this order [sasl.enabled.mechanisms].
	Mechanisms []sasl.Mechanism
	// SessionMax is how long a client may go on before it has to authenticate again
	// (KIP-368) [connections.max.reauth.ms]; 0: as long as its token says, or for ever.
	SessionMax time.Duration
	// FailureDelay is how long a client waits for the answer that it has failed (KIP-306)
	// [connection.failed.authentication.delay.ms]; 0 means 100 ms, negative none. It must be
	// less than the listener's idle timeout.
	FailureDelay time.Duration
	// DelayedMax bounds how many clients may wait for that answer; 0 means 4096. Further
	// ones are closed at once, and told nothing.
	DelayedMax int
	// RunningMax bounds the goroutines that authenticate, for each mechanism; 0 means 1.
	// WaitingMax bounds the clients that wait for one of these; 0 means 1024. When there are
	// as many, the address (IPv6: /64) that has most of them loses one to an address that has
	// fewer; others are closed, and will try again. Each address has its turn, and clients
	// whose token is known to be good (sasl.QuickExchange) don't wait. A token takes its mechanism's CPU time (PLAIN: up to a
	// tenth of a second) and waits for its store, StepTimeout at most; 0 means 10 seconds.
	RunningMax, WaitingMax int
	StepTimeout            time.Duration
	// Now is the time, for tests; nil means time.Now.
	Now func() time.Time
}

func (c SASLConfig) withDefaults() SASLConfig {
	if c.FailureDelay == 0 {
		c.FailureDelay = 100 * time.Millisecond
	}
	if c.DelayedMax == 0 {
		c.DelayedMax = 4096
	}
	if c.RunningMax == 0 {
		c.RunningMax = 1
	}
	if c.WaitingMax == 0 {
		c.WaitingMax = 1024
	}
	if c.StepTimeout == 0 {
		c.StepTimeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports every fault at once.
func (c SASLConfig) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("kafka: SASL: "+format, args...))
		}
	}
	fault(len(c.Mechanisms) == 0, "Mechanisms is empty: give at least one, or nobody can authenticate")
	names := map[string]bool{}
	for _, m := range c.Mechanisms {
		fault(names[m.Name()], "Mechanisms has %s twice: leave one out", m.Name())
		names[m.Name()] = true
	}
	fault(c.SessionMax < 0, "SessionMax %v: choose more than 0, or 0 for no limit", c.SessionMax)
	fault(c.DelayedMax < 0, "DelayedMax %d: choose at least 1", c.DelayedMax)
	fault(c.RunningMax < 0, "RunningMax %d: choose at least 1", c.RunningMax)
	fault(c.WaitingMax < 0, "WaitingMax %d: choose at least 1", c.WaitingMax)
	fault(c.StepTimeout < 0, "StepTimeout %v: choose more than 0", c.StepTimeout)
	return errors.Join(faults...)
}

// SASL authenticates the clients of a listener; see Filter.SASL. It never changes, but for
// its counts, and has no goroutine while nobody is being authenticated.
type SASL struct {
	cfg     SASLConfig
	names   []string // of the mechanisms, as clients are told
	lines   []*line  // of each mechanism: a flood of wrong passwords does not keep those waiting who come by SCRAM
	delays  saslDelays
	began   time.Time // what instants count from
	counted saslCounts
	drained context.Context // done when Drain was called
	drain   context.CancelFunc
}

// SASLStats counts what became of authentications.
type SASLStats struct {
	Succeeded, Failed             uint64 // of new clients
	Reauthenticated, ReauthFailed uint64
	Expired                       uint64 // went on when their session had ended
	Early                         uint64 // asked for something before they had authenticated
	Overloaded                    uint64 // found too many others
	Undelayed                     uint64 // failed when too many were waiting for that answer
	NoReauth                      uint64 // of Succeeded: clients that can't authenticate again (KIP-368)
	Waiting                       int    // now, for a goroutine
	// ReauthLatency is how long it took to authenticate again, in microseconds, from the
	// SaslHandshake on [reauthentication-latency].
	ReauthLatency kring.Distribution
}

type saslCounts struct {
	succeeded, failed, reauthenticated, reauthFailed, expired, early, overloaded, undelayed, noReauth atomic.Uint64

	mu      sync.Mutex
	latency measure.Histogram // guarded by mu; of authenticating again, in microseconds
}

// tookAgain notes how long it took to authenticate again.
func (n *saslCounts) tookAgain(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency.Note(uint64(min(max(d.Microseconds(), 0), math.MaxUint32)), 1)
	n.latency.Publish()
}

// NewSASL makes what Filter.SASL has. One may serve several listeners.
func NewSASL(c SASLConfig) (*SASL, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	a := &SASL{cfg: c, began: c.Now()}
	a.drained, a.drain = context.WithCancel(context.Background())
	a.delays.ends = make([]int64, c.DelayedMax)
	for _, m := range c.Mechanisms {
		a.names = append(a.names, m.Name())
		a.lines = append(a.lines, &line{runningMax: c.RunningMax, waitingMax: c.WaitingMax})
	}
	return a, nil
}

// Stats counts since NewSASL.
func (a *SASL) Stats() SASLStats {
	n := &a.counted
	st := SASLStats{
		Succeeded: n.succeeded.Load(), Failed: n.failed.Load(), Reauthenticated: n.reauthenticated.Load(), ReauthFailed: n.reauthFailed.Load(),
		Expired: n.expired.Load(), Early: n.early.Load(), Overloaded: n.overloaded.Load(), Undelayed: n.undelayed.Load(),
		NoReauth: n.noReauth.Load(), ReauthLatency: n.latency.Snapshot(),
	}
	for _, l := range a.lines {
		st.Waiting += l.waitingNow()
	}
	return st
}

// Drain has nobody's token be looked at any more: the connections of those that wait for it are
// closed, and their clients ask elsewhere, or later. Whoever is looked at in that moment goes on,
// unless it takes the mechanism's context to end it. Call it before the server is shut down, which
// would wait for all of them. It does not block.
func (a *SASL) Drain() { a.drain() }

// Mechanisms are the names of those that are offered.
func (a *SASL) Mechanisms() []string { return append([]string(nil), a.names...) }

// instant is the time of sessions: it does not jump with the clock.
func (a *SASL) instant() int64 { return int64(a.cfg.Now().Sub(a.began)) }

// The faults of requests that come at the wrong time.
var (
	faultEarly = &Fault{reqchan.NotAuthenticated,
		"kafka: SASL: a request before the client has authenticated; only ApiVersions (once), SaslHandshake and SaslAuthenticate come before that: give the client SASL settings"}
	faultEarlyHeader = &Fault{reqchan.NotAuthenticated,
		"kafka: SASL: the first bytes are no request of Kafka's; the client has another security protocol, or speaks SASL without a handshake"}
	faultSession = &Fault{reqchan.SessionExpired,
		"kafka: SASL: a request after the session had expired; the client must authenticate again before that (KIP-368)"}
	faultOverload = &Fault{reqchan.AuthenticationOverload,
		"kafka: SASL: too many clients were being authenticated; this one will try again"}
)

// authenticated says whether a request may go on. If not, it is answered here, or will be.
func (d *Filter) authenticated(r kring.Request) bool {
	c := r.Conn()
	if c == nil {
		return true // made by hand: it is of no listener
	}
	a := d.SASL[c.Listener]
	if a == nil {
		return true
	}
	s, _ := c.Session().(*saslSession)
	if s == nil {
		s = &saslSession{}
		c.AttachSession(s)
	}
	if !s.complete.Load() {
		return d.authenticate(a, s, r)
	}
	key, _ := APIOf(r.Payload())
	switch {
	case key == keySASLHandshake && s.mayBeginAgain(a):
		return d.authenticate(a, s, r)
	case s.expired(a):
		a.counted.expired.Add(1)
		h, _ := parseHeader(r.Payload())
		d.reject(r, h, faultSession)
		return false
	case key == keySASLHandshake, key == keySASLAuthenticate:
		d.refuseState(r)
		return false
	}
	return true
}

// refuseEarly is reject for a client whom nobody knows: what it says of itself, perhaps a
// token in the wrong place, is shown to nobody.
func (d *Filter) refuseEarly(r kring.Request, h Header, f *Fault) {
	h.ClientID = nil
	d.reject(r, h, f)
}
