package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"kring"
	"kring/kafka"
	"kring/metrics"
	"kring/sasl"
)

// saslFlags are how clients of SASL listeners authenticate.
type saslFlags struct {
	SASL             []string      `group:"security" name:"sasl" placeholder:"MECHANISM,…" help:"Mechanisms that clients of SASL_PLAINTEXT and SASL_SSL listeners can choose from [sasl.enabled.mechanisms]: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER. PLAIN sends the password as it is: use it with SASL_SSL."`
	Users            string        `group:"security" placeholder:"FILE" help:"Users and their hashed passwords, for PLAIN and SCRAM; kring user writes it. It is read again when it changes, and on SIGHUP; a bad file leaves the users as they were. DescribeUserScramCredentials and AlterUserScramCredentials work on it."`
	OAuthJWKS        keySource     `group:"security" name:"oauth-jwks" placeholder:"FILE|URL" help:"Public keys that OAUTHBEARER's tokens are signed by, as a JSON key set [sasl.oauthbearer.jwks.endpoint.url]. An https URL is fetched again when --oauth-jwks-refresh is over, and when a token names an unknown key."`
	OAuthJWKSRefresh time.Duration `group:"security" name:"oauth-jwks-refresh" placeholder:"DURATION" default:"1h" help:"How often the URL of --oauth-jwks is fetched again, at least 10s [sasl.oauthbearer.jwks.endpoint.refresh.ms]: a key that was taken out of the set is accepted for as long. Default: ${default}."`
	OAuthIssuer      string        `group:"security" name:"oauth-issuer" placeholder:"ISSUER" help:"The iss that tokens must have [sasl.oauthbearer.expected.issuer]."`
	OAuthAudience    []string      `group:"security" name:"oauth-audience" placeholder:"AUDIENCE,…" help:"The aud that tokens must have one of [sasl.oauthbearer.expected.audience]."`
	OAuthAlgorithms  []string      `group:"security" name:"oauth-algorithms" placeholder:"ALGORITHM,…" help:"What tokens may be signed by: {{oauth_algorithms}}."`
	OAuthUserClaim   string        `group:"security" name:"oauth-user-claim" placeholder:"CLAIM" default:"sub" help:"The claim with the user's name [sasl.oauthbearer.sub.claim.name]. Default: ${default}."`
	OAuthClockSkew   time.Duration `group:"security" name:"oauth-clock-skew" placeholder:"DURATION" default:"30s" help:"How much the clock of who signs tokens may differ [sasl.oauthbearer.clock.skew.seconds]. Default: ${default}."`
	MaxReauth        time.Duration `group:"security" placeholder:"DURATION" help:"How long a client may go on before it has to authenticate again [connections.max.reauth.ms]. At least 1s. Default: as long as its token says, or for ever."`
	AuthFailureDelay time.Duration `group:"security" placeholder:"DURATION" default:"100ms" help:"How long a client that failed to authenticate waits for the answer [connection.failed.authentication.delay.ms]. 0s: not at all. Default: ${default}."`
	AuthTimeout      time.Duration `group:"security" name:"auth-timeout" placeholder:"DURATION" default:"30s" help:"How long a client of a SASL listener may take to authenticate, after its TLS handshake, before its connection is closed; time in which the server owes it an answer does not count. 30 seconds is how long Java clients wait for an answer themselves (request.timeout.ms). Negative: for ever, as in Kafka. Default: ${default}."`
	SASLFrameBytes   size          `group:"security" name:"sasl-frame-bytes" placeholder:"BYTES" default:"512KiB" help:"Largest request of a client of a SASL listener that has not authenticated [sasl.server.max.receive.size]; without OAUTHBEARER 16KiB at most, and 80KiB with it: no mechanism takes more. Default: ${default}."`
}

// refreshLeast is the least time between two fetches of a key set.
const refreshLeast = 10 * time.Second

// keySource is a file or a URL. A URL may have a user, a password and a token in it, which no
// listing shows.
type keySource string

// String hides them.
func (s keySource) String() string {
	at := strings.Index(string(s), "://")
	if at < 0 {
		return string(s)
	}
	u, err := url.Parse(string(s))
	if err != nil {
		return string(s)[:at] + "://" + hiddenSecret
	}
	shown := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		shown += " " + hiddenSecret
	}
	return shown
}

// MarshalText is for listings.
func (s keySource) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Settings of one listener.
const (
	saslSetting        = "sasl"
	usersSetting       = "users"
	maxReauthSetting   = "max-reauth"
	authTimeoutSetting = "auth-timeout"
)

func init() {
	programSettings[saslSetting] = func(value string) error { return knownMechanisms(strings.Split(value, ",")) }
	programSettings[usersSetting] = func(value string) error {
		if value == "" {
			return errors.New("no file is given")
		}
		return nil
	}
	programSettings[maxReauthSetting] = func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is no duration, such as 1h", value)
		}
		return checkMaxReauth(d)
	}
	listenerSettings[authTimeoutSetting] = duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Timeouts.Authentication })
	listenerParts = append(listenerParts, (*serveCmd).demandSASL)
}

// mechanismNames are those that --sasl takes.
var mechanismNames = []string{sasl.Plain, sasl.SCRAMSHA256, sasl.SCRAMSHA512, sasl.OAuthBearer}

func knownMechanisms(names []string) error {
	return knownOnce(names, mechanismNames, "is no mechanism; give some of "+strings.Join(mechanismNames, ","))
}

// checkMaxReauth: clients begin to authenticate again a second or more before the end, and
// may do so once a second; with less they would do nothing else.
func checkMaxReauth(d time.Duration) error {
	if d != 0 && d < time.Second {
		return fmt.Errorf("%v: give 1s or more, or 0s for no limit", d)
	}
	return nil
}

// listenerSASL is what --sasl and its companions say for one listener.
type listenerSASL struct {
	mechanisms []string
	users      string
	accounts   string // a JAAS string, or file:PATH; instead of users for PLAIN
	maxReauth  time.Duration
}

func (c *serveCmd) saslOf(listener string) listenerSASL {
	of := listenerSASL{mechanisms: c.SASL.SASL, users: c.SASL.Users, maxReauth: c.SASL.MaxReauth}
	if v, set := c.ownSetting(listener, saslSetting); set {
		of.mechanisms = strings.Split(v, ",")
	}
	if v, set := c.ownSetting(listener, usersSetting); set {
		of.users = v
	}
	of.accounts, _ = c.ownSetting(listener, plainUsersSetting)
	if v, set := c.ownSetting(listener, maxReauthSetting); set {
		of.maxReauth, _ = time.ParseDuration(v) // checked by UnmarshalText
	}
	return of
}

func (of listenerSASL) needsUsers() bool {
	return slices.ContainsFunc(of.mechanisms, func(m string) bool {
		return m != sasl.OAuthBearer && (m != sasl.Plain || of.accounts == "")
	})
}

// What a client may send at most that has not authenticated: the longest token, and a request
// around it. More would be memory that strangers fill, and nobody reads.
const (
	saslFrameBytesMax   = 16 << 10
	bearerFrameBytesMax = 80 << 10
)

func (of listenerSASL) frameBytesMax() int {
	if slices.Contains(of.mechanisms, sasl.OAuthBearer) {
		return bearerFrameBytesMax
	}
	return saslFrameBytesMax
}

// demandSASL checks the settings of a listener and bounds what strangers may send. It is one
// of listenerParts.
func (c *serveCmd) demandSASL(l *kring.ListenerConfig, p securityProtocol) error {
	if !p.SASL() {
		return nil
	}
	of, at := c.saslOf(l.Name), listenOf(l)
	switch {
	case len(of.mechanisms) == 0:
		return fmt.Errorf("%s: clients of %s authenticate, and no mechanism is given; give --sasl SCRAM-SHA-512 and --users FILE", at, p)
	case of.needsUsers() && of.users == "":
		return fmt.Errorf("%s: %s needs users, and none are given; give --users FILE, which this makes: kring user add NAME --users FILE", at, strings.Join(of.mechanisms, ","))
	case of.demandAccounts(at) != nil:
		return of.demandAccounts(at)
	case c.Handler == handlerEcho:
		return fmt.Errorf("%s: --handler echo knows nothing of SASL; choose another handler, or another protocol", at)
	}
	if l.Limits.FrameBytesMaxUnauthenticated == 0 {
		l.Limits.FrameBytesMaxUnauthenticated = min(int(c.SASL.SASLFrameBytes), of.frameBytesMax())
		if own := l.Limits.FrameBytesMax; own > 0 {
			l.Limits.FrameBytesMaxUnauthenticated = min(own, l.Limits.FrameBytesMaxUnauthenticated)
		}
	}
	return nil
}

// addedSASL returns the faults of listeners that get SASL while the program serves: what
// authenticates is made at the start, and without it they would be open, or go by what
// they had then. Of those that there are by now compareSettings knows what changed.
func (c *serveCmd) addedSASL(start, now *serveCmd) (faults []error) {
	for _, l := range c.listeners() {
		p := c.security(l.Name)
		switch {
		case !p.SASL():
		case !hasListener(start, l.Name) || !start.security(l.Name).SASL():
			faults = append(faults, fmt.Errorf("%s: a listener with %s can't be added while kring serves: restart it", listenOf(&l), p))
		case !hasListener(now, l.Name) && !reflect.DeepEqual(c.saslOf(l.Name), start.saslOf(l.Name)):
			faults = append(faults, fmt.Errorf("%s: it is added again with other mechanisms, users or a max-reauth other than at the start, which can't change while kring serves: restart it", listenOf(&l)))
		}
	}
	return faults
}

// validateSASL checks the flags for all listeners. Nobody may think that clients
// authenticate who do not.
func (c *serveCmd) validateSASL() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	f := &c.SASL
	if err := knownMechanisms(f.SASL); err != nil {
		fault("--sasl: %w", err)
	}
	if err := checkMaxReauth(f.MaxReauth); err != nil {
		fault("--max-reauth %w", err)
	}
	if f.AuthFailureDelay < 0 || f.AuthFailureDelay > time.Minute {
		fault("--auth-failure-delay %v: give 0s to 1m", f.AuthFailureDelay)
	}
	if f.AuthTimeout >= 0 && f.AuthTimeout < 100*time.Millisecond {
		fault("--auth-timeout %v: give 100ms or more, or -1s for ever", f.AuthTimeout)
	}
	if f.SASLFrameBytes < 1<<10 || f.SASLFrameBytes > 1<<30 {
		fault("--sasl-frame-bytes %d: give 1KiB to 1GiB", f.SASLFrameBytes)
	}
	demanded, oauth := false, false
	for _, l := range c.listeners() {
		if c.security(l.Name).SASL() {
			demanded = true
			oauth = oauth || slices.Contains(c.saslOf(l.Name).mechanisms, sasl.OAuthBearer)
		}
	}
	for _, g := range []struct {
		flag  string
		given bool
	}{{"sasl", len(f.SASL) > 0}, {"users", f.Users != ""}, {"max-reauth", f.MaxReauth != 0}} {
		if g.given && !demanded {
			fault("--%s: no listener has SASL, so nobody would authenticate; name one SASL_SSL:// or SASL_PLAINTEXT://, or give --listener NAME.security=SASL_SSL", g.flag)
		}
	}
	if oauth {
		return append(faults, f.validateOAuth()...)
	}
	return faults
}

func (f *saslFlags) validateOAuth() (faults []error) {
	for _, n := range []struct {
		flag, remedy string
		missing      bool
	}{
		{"oauth-jwks", "the keys that tokens are signed by", f.OAuthJWKS == ""},
		{"oauth-issuer", "the iss of your tokens, or those of any issuer would do", f.OAuthIssuer == ""},
		{"oauth-audience", "the aud of tokens for this server, or those for other services would do", len(f.OAuthAudience) == 0},
		{"oauth-algorithms", "what tokens are signed by, such as RS256", len(f.OAuthAlgorithms) == 0},
	} {
		if n.missing {
			faults = append(faults, fmt.Errorf("--%s: OAUTHBEARER needs it; give %s", n.flag, n.remedy))
		}
	}
	if slices.Contains(f.OAuthAudience, "") {
		faults = append(faults, errors.New("--oauth-audience: one is empty; leave it out"))
	}
	for _, a := range f.OAuthAlgorithms {
		if !slices.Contains(sasl.OAuthAlgorithms, a) {
			faults = append(faults, fmt.Errorf("--oauth-algorithms: %q is none that has a public key; give some of %s", a, strings.Join(sasl.OAuthAlgorithms, ",")))
		}
	}
	if f.OAuthJWKSRefresh < refreshLeast {
		faults = append(faults, fmt.Errorf("--oauth-jwks-refresh %v: give %v or more", f.OAuthJWKSRefresh, refreshLeast))
	}
	if f.OAuthClockSkew < 0 || f.OAuthClockSkew > 10*time.Minute {
		faults = append(faults, fmt.Errorf("--oauth-clock-skew %v: give 0s to 10m", f.OAuthClockSkew))
	}
	return faults
}

// authentication is what SASL listeners have.
type authentication struct {
	sasl  map[string]*kafka.SASL // by listener; nil: there is none with SASL
	users map[string]*sasl.Users // by file
	main  *sasl.Users            // of --users; nil: there is none
	keys  *sasl.KeySet           // nil: no OAUTHBEARER

	accounts map[string]*plainAccounts // by the setting's value
}

// scramUsers are those that clients change by Kafka's API; nil: there are none.
func (a *authentication) scramUsers() kafka.SCRAMUsers {
	if a.main == nil {
		return nil // and not an interface with nil in it
	}
	return a.main
}

// stats are those of each listener.
func (a *authentication) stats() map[string]metrics.Authentications {
	all := make(map[string]metrics.Authentications, len(a.sasl))
	for listener, s := range a.sasl {
		all[listener] = metrics.Authentications(s.Stats())
	}
	return all
}

// drain has nobody wait to be authenticated.
func (a *authentication) drain() {
	for _, s := range a.sasl {
		s.Drain()
	}
}

func (a *authentication) close() {
	if a.keys != nil {
		a.keys.Close()
	}
}

// openPatience is how long the start waits for a key set.
const openPatience = 15 * time.Second

// authentication reads users and keys, and makes what SASL listeners have.
func (c *serveCmd) authentication(log *slog.Logger, again *rereads) (*authentication, error) {
	a := &authentication{}
	for _, l := range c.listeners() {
		p := c.security(l.Name)
		if !p.SASL() {
			continue
		}
		s, err := a.listener(c, c.saslOf(l.Name), log, again)
		if err != nil {
			a.close()
			return nil, fmt.Errorf("%s: %w", listenOf(&l), err)
		}
		if a.sasl == nil {
			a.sasl = make(map[string]*kafka.SASL)
		}
		a.sasl[l.Name] = s
		if !p.TLS() {
			log.Warn("a SASL listener without TLS: whoever is on the way reads everything, with PLAIN and OAUTHBEARER passwords and tokens as well", "listener", l.Name, "mechanisms", s.Mechanisms())
		}
	}
	return a, nil
}

func (a *authentication) listener(c *serveCmd, of listenerSASL, log *slog.Logger, again *rereads) (*kafka.SASL, error) {
	cfg := kafka.SASLConfig{SessionMax: of.maxReauth, FailureDelay: c.SASL.AuthFailureDelay, RunningMax: max(runtime.GOMAXPROCS(0)/2, 1)}
	if cfg.FailureDelay == 0 {
		cfg.FailureDelay = -1
	}
	for _, name := range of.mechanisms {
		m, err := a.mechanism(c, name, of, log, again)
		if err != nil {
			return nil, err
		}
		cfg.Mechanisms = append(cfg.Mechanisms, m)
	}
	return kafka.NewSASL(cfg)
}

func (a *authentication) mechanism(c *serveCmd, name string, of listenerSASL, log *slog.Logger, again *rereads) (sasl.Mechanism, error) {
	if name == sasl.OAuthBearer {
		return a.oauth(&c.SASL, log, again)
	}
	if name == sasl.Plain && of.accounts != "" {
		accounts, err := a.plainAccounts(of.accounts, again)
		if err != nil {
			return nil, err
		}
		return sasl.NewPlain(accounts), nil
	}
	store, err := a.usersOf(of.users, log, again)
	if err != nil {
		return nil, err
	}
	if of.users == c.SASL.Users {
		a.main = store
	}
	if name == sasl.Plain {
		return sasl.NewPlain(store), nil
	}
	return sasl.NewSCRAM(name, store)
}

// usersOf opens a users file once, and has it read again when it changes.
func (a *authentication) usersOf(path string, log *slog.Logger, again *rereads) (*sasl.Users, error) {
	if u := a.users[path]; u != nil {
		return u, nil
	}
	var u *sasl.Users
	again.add(reloadable{
		again: "the users were read again", kept: "the users stay as they were", watched: []string{path},
		says:    func() []any { return []any{"file", path, "users", u.Len()} },
		prepare: func() (func() error, error) { return noFailure(u.Prepare()) },
	})
	var err error
	if u, err = sasl.OpenUsers(path); err != nil {
		return nil, err
	}
	if a.users == nil {
		a.users = make(map[string]*sasl.Users)
	}
	a.users[path] = u
	if u.Len() == 0 {
		log.Warn("there are no users, so nobody can log in; add one: kring user add NAME --users FILE", "file", path)
	}
	return u, nil
}

// noFailure makes an apply of a reloadable of one that can't fail.
func noFailure(apply func(), err error) (func() error, error) {
	return func() error { apply(); return nil }, err
}

// oauth opens the key set once, for all listeners.
func (a *authentication) oauth(f *saslFlags, log *slog.Logger, again *rereads) (sasl.Mechanism, error) {
	if a.keys == nil {
		part := reloadable{
			again: "the keys of --oauth-jwks were read again, or are being fetched", kept: "the keys of --oauth-jwks stay as they were",
			prepare: func() (func() error, error) { return noFailure(a.keys.Prepare()) },
		}
		if !strings.Contains(string(f.OAuthJWKS), "://") {
			part.watched = []string{string(f.OAuthJWKS)}
		}
		again.add(part)
		ctx, cancel := context.WithTimeout(context.Background(), openPatience)
		defer cancel()
		keys, err := sasl.OpenKeys(ctx, sasl.KeySetConfig{Source: string(f.OAuthJWKS), Refresh: f.OAuthJWKSRefresh, Failed: func(err error) {
			log.Error("the keys of --oauth-jwks stay as they were", "error", err)
		}})
		if err != nil {
			return nil, err
		}
		a.keys = keys
	}
	return sasl.NewOAuthBearer(sasl.OAuthConfig{
		Keys: a.keys, Issuer: f.OAuthIssuer, Audience: f.OAuthAudience, Algorithms: f.OAuthAlgorithms, UserClaim: f.OAuthUserClaim,
		ClockSkew: skewOf(f.OAuthClockSkew),
	})
}

// skewOf: 0 would be the library's default.
func skewOf(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
