package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"kring"
	"kring/gateway"
	"kring/kafka"
	"kring/telemetry"
)

const handlerGateway = "gateway"

// gatewayCmd is `kring gateway`: the network layer of `kring serve`, with another handler.
type gatewayCmd struct {
	serveCmd `embed:""`
	Upstream upstreamFlags `embed:""`
}

// upstreamFlags say which cluster answers, and how it is reached.
type upstreamFlags struct {
	Upstream  []string `group:"upstream" placeholder:"HOST:PORT" help:"Brokers of the cluster that answers, any of them; repeat for more. The others are learned from it, by their advertised.listeners, which this machine has to resolve and reach."`
	NodePorts string   `group:"upstream" placeholder:"BASE[-LAST]" help:"Ports of the brokers here: that of node id N is BASE+N. All of them are bound at the start, on the address of the first --listen; every instance of the gateway has to have the same. Without LAST there are 16. Clients are told the host of --advertise, and its port is BASE for them, where something maps ports."`
	NodeNames string   `group:"upstream" placeholder:"PATTERN" help:"Names of the brokers here, instead of ports: such as broker-$(node).kafka.example.com, with the node id in the place of $(node). Clients give the name in the TLS handshake (SNI), so every listener has to speak TLS. The port is that of --advertise, or of the first --listen."`

	UpstreamMode        string `group:"upstream" enum:"multiplexed, dedicated" default:"multiplexed" help:"How clients' connections and upstream ones belong together: ${enum}. multiplexed: many clients share few. dedicated: each client has one of its own. Default: ${default}."`
	UpstreamConnections int    `group:"upstream" placeholder:"N" help:"Upstream connections for short requests, and as many for writes, for each broker and principal. One serves one request at a time. Default: 8."`
	UpstreamWaiting     int    `group:"upstream" placeholder:"M" help:"Upstream connections for requests that wait, such as a Fetch, for each broker and principal. Default: 64."`
	UpstreamJoining     int    `group:"upstream" placeholder:"N" help:"Members of classic groups that may wait for their group at once, for each broker and principal; more than the largest group has. Default: 1024."`
	UpstreamOwn         int    `group:"upstream" placeholder:"N" help:"Clients that may have an upstream connection of their own (acks=0, share groups, --upstream-mode dedicated), for each broker and principal. Default: 1024; 65536 if dedicated."`
	UpstreamByClientID  bool   `group:"upstream" name:"upstream-by-client-id" help:"Keep upstream connections apart by client id as well: for brokers whose quotas go by it."`

	UpstreamTimeout     time.Duration `group:"upstream" placeholder:"DURATION" help:"How long a broker may take for a request, beyond what the request itself waits. Default: 30s."`
	UpstreamWaitTimeout time.Duration `group:"upstream" placeholder:"DURATION" help:"How long a request waits for an upstream connection, or for a broker that is away; then its client is told to try again. Default: 10s."`
	UpstreamIdleTimeout time.Duration `group:"upstream" placeholder:"DURATION" help:"Close upstream connections that are not used for so long; less than the brokers' connections.max.idle.ms. Default: 4m."`
	FetchWaitMax        time.Duration `group:"upstream" placeholder:"DURATION" help:"How long a Fetch may wait for data on a shared upstream connection. Brokers are asked for less when clients wait for a connection. Default: 5s."`

	UpstreamTLS        bool   `group:"upstream" name:"upstream-tls" help:"Speak TLS with the brokers."`
	UpstreamCA         string `group:"upstream" name:"upstream-ca" placeholder:"FILE" help:"Certificates (PEM) that sign the brokers'. Default: the system's."`
	UpstreamCert       string `group:"upstream" placeholder:"FILE" help:"Certificate (PEM) that the gateway shows the brokers (mutual TLS)."`
	UpstreamKey        string `group:"upstream" placeholder:"FILE" help:"Its key (PEM)."`
	UpstreamServerName string `group:"upstream" placeholder:"NAME" help:"Name that the brokers' certificates are for. Default: the host that is connected to."`

	UpstreamSASL        string `group:"upstream" name:"upstream-sasl" placeholder:"MECHANISM" help:"Authenticate to the brokers by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER. pass: clients' own exchanges go to the broker; needs --upstream-mode dedicated. Default: not at all."`
	UpstreamUser        string `group:"upstream" placeholder:"NAME" help:"User for PLAIN and SCRAM."`
	UpstreamPassword    secret `group:"upstream" placeholder:"SECRET" help:"Its password, or file:PATH."`
	UpstreamCredentials string `group:"upstream" placeholder:"FILE" help:"Upstream users by the principals of clients, one in a line: PRINCIPAL MECHANISM USER PASSWORD, such as: User:alice SCRAM-SHA-512 alice s3cret. Others have --upstream-user, or are refused without it; then the gateway asks for the brokers as the first of the file."`
	UpstreamTokenFile   string `group:"upstream" placeholder:"FILE" help:"File with the token for OAUTHBEARER; it is read again for each authentication."`
}

const (
	saslPass         = "pass"
	nodePortsDefault = 16
	// nodeListenerPrefix begins the names of listeners of single brokers. They have all that
	// the first --listen has.
	nodeListenerPrefix = "NODE_"
	// gatewayPipeline is --pipeline of a gateway: requests of a client follow each other
	// upstream without waiting for the client.
	gatewayPipeline = 16
)

// Help is the text above the flags.
func (gatewayCmd) Help() string {
	return `Clients see the upstream cluster at the gateway's addresses. docs/gateway.md says what each API does, how to size it, and what happens on bad days.

Examples:

    kring gateway --upstream broker1:9092,broker2:9092 --node-ports 9100
    kring gateway --upstream broker1:9093 --upstream-tls --listen 0.0.0.0:9092 --advertise gateway.example.org:9100 --node-ports 9100-9115
    kring gateway --upstream broker1:9092 --listen SSL://0.0.0.0:9093 --tls-cert cert.pem --tls-key key.pem --node-names 'broker-$(node).kafka.example.org'`
}

// selectedServe is what the command line says of the network layer.
func selectedServe(command *kong.Context) *serveCmd {
	if g, is := command.Selected().Target.Addr().Interface().(*gatewayCmd); is {
		return &g.serveCmd
	}
	return command.Selected().Target.Addr().Interface().(*serveCmd)
}

// notOfGateway are flags of serve that a gateway has no use for.
var notOfGateway = map[string]bool{"handler": true, "dispatch": true, "handlers": true, "handler-batch": true, "data-dir": true, "sync-writes": true,
	"accept-data-loss": true, "memory-log-bytes-max": true, "partitions": true, "seed-topic": true}

// dropFlags takes flags that a gateway has no use for out of its help.
func dropFlags(k *kong.Kong) {
	for _, node := range k.Model.Children {
		if node.Name != "gateway" {
			continue
		}
		for _, f := range node.Flags {
			f.Hidden = f.Hidden || notOfGateway[f.Name]
		}
	}
}

// Validate checks the flags together; kong calls it.
func (c *gatewayCmd) Validate() error {
	c.Handler, c.Dispatch, c.upstream = handlerGateway, string(kring.DispatchInline), &c.Upstream
	if c.Pipeline == 1 {
		c.Pipeline = gatewayPipeline
	}
	faults := c.Upstream.validate(&c.serveCmd)
	return errors.Join(append(faults, c.serveCmd.Validate())...)
}

func (u *upstreamFlags) validate(c *serveCmd) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(u.Upstream) == 0 {
		fault("--upstream: there is no cluster to forward to; name a broker of it, such as --upstream broker1:9092")
	}
	if _, err := u.bootstrap(); err != nil {
		fault("%w", err)
	}
	switch {
	case (u.NodePorts == "") == (u.NodeNames == ""):
		fault("--node-ports: give either this, such as --node-ports 9100, or --node-names: clients reach each broker by an address of its own")
	case u.NodePorts != "":
		if _, _, err := u.ports(); err != nil {
			fault("%w", err)
		}
	}
	faults = append(faults, u.validateSecurity()...)
	if c.Rules.ACL != "" && u.UpstreamSASL == saslPass {
		fault("--acl: with --upstream-sasl pass the brokers authenticate clients, and the gateway does not know who they are; let the brokers' ACLs decide, or authenticate clients here (--sasl)")
	}
	if len(faults) == 0 {
		if _, err := c.addressing(); err != nil {
			fault("%w", err)
		}
	}
	return faults
}

// validateSecurity checks who the gateway is to the brokers.
func (u *upstreamFlags) validateSecurity() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, err := u.identity(); err != nil {
		fault("--upstream-sasl: %w", err)
	}
	if u.UpstreamSASL == saslPass && u.UpstreamMode != "dedicated" {
		fault("--upstream-sasl pass: who a client is belongs to its connection, which must not be shared; give --upstream-mode dedicated")
	}
	if u.UpstreamSASL == saslPass && u.UpstreamCredentials != "" {
		fault("--upstream-credentials: with --upstream-sasl pass each client shows its own; leave one of the two out")
	}
	if (u.UpstreamSASL == "" || u.UpstreamSASL == saslPass) && (u.UpstreamUser != "" || u.UpstreamPassword.reveal() != "" || u.UpstreamTokenFile != "") {
		fault("--upstream-sasl: a user, a password or a token for the brokers is given, and no mechanism that shows it; give --upstream-sasl, such as SCRAM-SHA-512")
	}
	if !u.UpstreamTLS && (u.UpstreamCA != "" || u.UpstreamCert != "" || u.UpstreamKey != "" || u.UpstreamServerName != "") {
		fault("--upstream-tls: files for TLS are given, and TLS is not; give --upstream-tls")
	}
	if (u.UpstreamCert == "") != (u.UpstreamKey == "") {
		fault("--upstream-cert: a certificate and its key belong together; give --upstream-cert and --upstream-key")
	}
	return faults
}

func (u *upstreamFlags) bootstrap() (all []kafka.Address, err error) {
	for _, text := range u.Upstream {
		at, err := kafka.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("--upstream %q: %w; give HOST:PORT of a broker", text, err)
		}
		all = append(all, at)
	}
	return all, nil
}

// ports are those of --node-ports.
func (u *upstreamFlags) ports() (base, count int32, err error) {
	from, to, ranged := strings.Cut(u.NodePorts, "-")
	a, err := strconv.ParseUint(from, 10, 16)
	b := a + nodePortsDefault - 1
	if err == nil && ranged {
		b, err = strconv.ParseUint(to, 10, 16)
	}
	if err != nil || a == 0 || b < a || b > 1<<16-1 {
		return 0, 0, fmt.Errorf("--node-ports %q: give the port of node id 0, such as 9100, or a range, such as 9100-9115, within 1 to 65535", u.NodePorts)
	}
	return int32(a), int32(b - a + 1), nil
}

// addressing is how clients reach brokers.
func (c *serveCmd) addressing() (gateway.Addressing, error) {
	u := c.upstream
	_, listen := splitName(c.Listen[0])
	host, port, err := splitAddress(listen)
	if err != nil {
		return gateway.Addressing{}, fmt.Errorf("--listen %q: a gateway listens on TCP first: %w; give HOST:PORT", c.Listen[0], err)
	}
	told := kafka.Address{Host: host, Port: int32(port)}
	if c.Advertise != "" {
		told, _ = kafka.ParseAddress(c.Advertise) // validateAdvertise says what is wrong with it
	}
	a := gateway.Addressing{Host: told.Host}
	if u.NodeNames != "" {
		a.Names, a.NamesPort = u.NodeNames, told.Port
	} else {
		a.PortBase, a.Nodes, _ = u.ports()
		if c.Advertise != "" {
			a.AdvertisedPortBase = told.Port
		}
	}
	if ip, err := netip.ParseAddr(a.Host); a.Names == "" && (a.Host == "" || err == nil && ip.IsUnspecified()) {
		return a, fmt.Errorf("--advertise: clients are told by what address they reach brokers here, and --listen names none in particular; give --advertise HOST:PORT, with the port of node id 0")
	}
	if err := a.Validate(); err != nil {
		return a, fmt.Errorf("--node-ports, --node-names, --advertise: %w", err)
	}
	return a, nil
}

// nodeListeners are the listeners of single brokers, beside those of --listen.
func (c *serveCmd) nodeListeners() (all []kring.ListenerConfig) {
	if c.upstream == nil || c.upstream.NodePorts == "" {
		return nil
	}
	_, listen := splitName(c.Listen[0])
	host, _, err := splitAddress(listen)
	base, count, err2 := c.upstream.ports()
	if err != nil || err2 != nil { // Validate says so
		return nil
	}
	for node := range count {
		all = append(all, kring.ListenerConfig{Name: nodeListenerPrefix + strconv.Itoa(int(node)), Address: netJoin(host, base+node)})
	}
	return all
}

func netJoin(host string, port int32) string { return kafka.Address{Host: host, Port: port}.String() }

// like is the listener of --listen that a listener has its settings from: itself, or the
// first for one of a single broker.
func (c *serveCmd) like(listener string) string {
	if c.upstream != nil && strings.HasPrefix(listener, nodeListenerPrefix) {
		name, _ := c.nameOf(0)
		return name
	}
	return listener
}

// identity is who the gateway is to the brokers; nil: nobody.
func (u *upstreamFlags) identity() (*gateway.Identity, error) {
	if u.UpstreamSASL == "" || u.UpstreamSASL == saslPass {
		return nil, nil
	}
	id := &gateway.Identity{Name: u.UpstreamUser, Mechanism: u.UpstreamSASL, User: u.UpstreamUser, Password: u.UpstreamPassword.reveal()}
	if u.UpstreamTokenFile != "" {
		path := u.UpstreamTokenFile
		id.Token = func() (string, error) { // of a small file, at most once a connection
			b, err := os.ReadFile(path)
			return strings.TrimSpace(string(b)), err
		}
	}
	return id, id.Validate()
}

// credentials say who the gateway is to the brokers for each client; nil: nobody for all.
func (u *upstreamFlags) credentials() (*gateway.Credentials, error) {
	id, err := u.identity()
	switch {
	case err != nil:
		return nil, fmt.Errorf("--upstream-sasl: %w", err)
	case u.UpstreamCredentials != "":
		f, err := os.Open(u.UpstreamCredentials)
		if err != nil {
			return nil, fmt.Errorf("--upstream-credentials: %w", err)
		}
		defer f.Close()
		all, err := gateway.ReadCredentials(f, id)
		if err != nil {
			return nil, fmt.Errorf("--upstream-credentials %s: %w", u.UpstreamCredentials, err)
		}
		return all, nil
	case id != nil:
		return &gateway.Credentials{Default: id}, nil
	}
	return nil, nil
}

// tlsConfig is TLS with the brokers; nil: there is none.
func (u *upstreamFlags) tlsConfig() (*tls.Config, error) {
	if !u.UpstreamTLS {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.UpstreamServerName}
	if u.UpstreamCA != "" {
		pem, err := os.ReadFile(u.UpstreamCA)
		if err != nil {
			return nil, fmt.Errorf("--upstream-ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--upstream-ca %s: there is no certificate in it; give a file of PEM", u.UpstreamCA)
		}
	}
	if u.UpstreamCert != "" {
		cert, err := tls.LoadX509KeyPair(u.UpstreamCert, u.UpstreamKey)
		if err != nil {
			return nil, fmt.Errorf("--upstream-cert: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// gatewayConfig is the Gateway's Config from the flags, which are valid.
func (c *serveCmd) gatewayConfig(log *slog.Logger) gateway.Config {
	u := c.upstream
	cfg := gateway.Config{
		Connections: u.UpstreamConnections, Waiting: u.UpstreamWaiting, Joining: u.UpstreamJoining, Dedicated: u.UpstreamOwn, PoolByClientID: u.UpstreamByClientID,
		RequestTimeout: u.UpstreamTimeout, WaitTimeout: u.UpstreamWaitTimeout, IdleTimeout: u.UpstreamIdleTimeout, FetchWaitMax: u.FetchWaitMax,
		PassSASL: u.UpstreamSASL == saslPass,
		HasSASL:  func(conn *kring.Conn) bool { return c.security(conn.Listener).SASL() },
		Events:   gatewayEvents(log),
	}
	cfg.Bootstrap, _ = u.bootstrap()
	cfg.Addressing, _ = c.addressing()
	if u.UpstreamMode == "dedicated" {
		cfg.Mode = gateway.Dedicated
	}
	if u.NodePorts != "" {
		cfg.NodeOf = nodeOfListener
	}
	cfg.ListenerOf = func(conn *kring.Conn) string { return c.like(conn.Listener) }
	return cfg
}

// nodeOfListener is the broker that a listener is for.
func nodeOfListener(conn *kring.Conn) int32 {
	text, is := strings.CutPrefix(conn.Listener, nodeListenerPrefix)
	if node, err := strconv.Atoi(text); is && err == nil {
		return int32(node)
	}
	return gateway.NoNode
}

func gatewayEvents(log *slog.Logger) gateway.Events {
	return gateway.Events{
		BrokerUp: func(node int32, at kafka.Address) { log.Info("broker up", "node", node, "address", at.String()) },
		BrokerDown: func(node int32, at kafka.Address, err error) {
			log.Warn("broker down", "node", node, "address", at.String(), "error", err)
		},
		BrokerMoved: func(node int32, from, to kafka.Address) {
			log.Info("broker moved", "node", node, "from", from.String(), "to", to.String())
		},
		Warning: func(text string) { log.Warn(text) },
	}
}

// openGateway makes the Gateway behind its guards.
func (c *serveCmd) openGateway(log *slog.Logger, refused *refusals, by guards, pushed *telemetry.State) (service, error) {
	dialer := gateway.NewServerDialer(nil)
	by.again.add(c.upstream.reread(by.upstream, dialer)) // before its files are read
	now, err := c.upstream.read()
	if err != nil {
		return service{}, usageError{err}
	}
	dialer.SetTLS(now.tls)
	cfg := c.gatewayConfig(log)
	if now.credentials != nil {
		by.upstream.Store(now.credentials)
		cfg.IdentityOf = func(conn *kring.Conn) *gateway.Identity { return by.upstream.Load().Of(conn) }
	}
	cfg.LearnTopics = by.rules != nil || c.HTTP.HTTP != "" // for topicCounts
	if pushed != nil {
		cfg.Announced = kafka.TelemetryVersions()
	}
	g, err := gateway.New(cfg, dialer)
	if err != nil {
		return service{}, usageError{inFlags(err)}
	}
	s := cfg.Sizing(1)
	log.Info("upstream bounds, for each broker: one connection serves one request at a time", "connections_at_most", s.Connections,
		"writes_per_second_at_5ms", int(s.Writes), "fetches_per_second_that_wait_500ms", int(s.Fetches))
	apis := gateway.Served(cfg.Announced...)
	filter := kafka.NewFilter(apis, g)
	filter.Quotas, filter.Rejected, filter.SASL, filter.Telemetry = by.quotas, refused.add, by.who.sasl, pushed
	if cfg.LearnTopics {
		filter.TopicCounts = c.topicCounts(g.Topics())
	}
	if by.rules != nil { // nil in an interface is an Authorizer
		filter.Authorizer, filter.Topics, filter.Brokers, filter.Denied = by.rules, g.Topics(), g, by.denied.add
	}
	return service{handler: filter, telemetry: pushed, quotas: by.quotas, apis: apis, topics: filter.TopicCounts, upstreams: &upstreams{g},
		started:  func(server *kring.Server) { dialer.Use(server); g.Start() },
		stopping: g.Drain,
		close:    func() error { g.Close(); return nil },
	}, nil
}

// gatewayFiles is how many descriptors a gateway uses for upstream connections, of a few
// brokers, when not many clients have their own.
func (c *serveCmd) gatewayFiles() int {
	const brokers = 3
	cfg := gateway.Config{Connections: c.upstream.UpstreamConnections, Waiting: c.upstream.UpstreamWaiting}.WithDefaults()
	return brokers * (2*cfg.Connections + cfg.Waiting)
}
