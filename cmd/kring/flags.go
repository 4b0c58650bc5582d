package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"kring"
	"kring/embedded"
	"kring/uring"
)

var groups = []kong.Group{
	{Key: "network", Title: "Where clients connect:"},
	{Key: "security", Title: "Who may connect, and as whom:"},
	{Key: "limits", Title: "Who may connect, and how many:"},
	{Key: "bounds", Title: "How much is held for clients, and how long:"},
	{Key: "engine", Title: "How the network is served:"},
	{Key: "handler", Title: "Who answers, and where it runs:"},
	{Key: "upstream", Title: "The cluster behind it, and how clients reach its brokers:"},
	{Key: "quotas", Title: "What clients may use:"},
	{Key: "cluster", Title: "The embedded cluster (--handler embedded):"},
	{Key: "observe", Title: "What can be seen of it:"},
	{Key: "process", Title: "The process:"},
}

// serveCmd is `kring serve`; its fields are the flags.
type serveCmd struct {
	Listen    []string `group:"network" placeholder:"[NAME://]ADDRESS" default:"127.0.0.1:9092" help:"Address to listen on, and the name of the listener; repeat for more. HOST:PORT: port 0 picks a free one, no host means every address of this machine. unix:PATH: a Unix domain socket, unix:@NAME an abstract one; without a TCP listener beside it, it needs --advertise. systemd: a socket of a systemd .socket unit, by FileDescriptorName=NAME or in their order; without --listen all of them are served. A listener named SSL, SASL_PLAINTEXT or SASL_SSL speaks that; --listener NAME.security= gives it to another name. Default: ${default}; names PLAINTEXT, PLAINTEXT_2, …"`
	Advertise string   `group:"network" placeholder:"HOST:PORT" help:"Address that clients are told to connect to [advertised.listeners]. Needed if they reach this machine under another name or port. For one listener: --listener NAME.advertise=HOST:PORT. Default: where the listener that they come by is bound; localhost when that is every address; the first TCP listener for a Unix domain socket."`

	activation activation
	upstream   *upstreamFlags // of kring gateway; nil: serve

	Sockets socketFlags `embed:""`
	TLS     tlsFlags    `embed:""`
	SASL    saslFlags   `embed:""`
	Limits  limitFlags  `embed:""`
	Bounds  boundFlags  `embed:""`
	Proxy   proxyFlags  `embed:""`

	Engine        string        `group:"engine" enum:"auto, io_uring, epoll, portable" default:"auto" help:"Engine: ${enum}. auto takes io_uring if this system allows it, else epoll, else portable, and says why. If the named engine does not work, the program fails. Default: ${default}."`
	Wait          string        `group:"engine" enum:"auto, locked, parked" default:"auto" help:"How processors wait: ${enum}. locked holds an OS thread for each (best with --dispatch inline), parked uses Go's poller (best with pool). Default: ${default}, the best for --dispatch; parked too when a listener speaks TLS."`
	Accept        string        `group:"engine" enum:"apart, per-processor" default:"apart" help:"Where connections are accepted: ${enum}. apart: each listener has an engine of its own and hands connections to the processors. per-processor: each processor accepts for itself, on sockets that share the address (SO_REUSEPORT). Default: ${default}."`
	Gosched       string        `group:"engine" enum:"auto, on, off" default:"auto" help:"Whether a processor that handed requests to the pool yields to other goroutines before it sends and sleeps: ${enum}. auto yields; for a single request only if the processor waits locked or there is one CPU. Default: ${default}."`
	Processors    int           `group:"engine" placeholder:"N" help:"Event loops, each with a share of the connections. Default: one per CPU inline, one per two CPUs with a pool."`
	Rebalance     time.Duration `group:"engine" placeholder:"DURATION" help:"How often idle connections move from processors with more than their share to those with less. Default: never."`
	KernelProfile string        `group:"engine" placeholder:"VERSION" default:"max" help:"Serve as on this kernel: newer io_uring features are not used, to test the code paths for older kernels. 5.19, 6.0, 6.1, 6.6, 6.10, 6.12, 6.15 or max. Default: ${default}, everything there is."`
	URing         []string      `group:"engine" name:"uring" placeholder:"KEY=VALUE" help:"A setting of io_uring; repeat for more. kring doctor --settings says what each does, since when and what for. Keys: {{uring_keys}}."`
	Pipeline      int           `group:"engine" placeholder:"K" default:"1" help:"Requests of one connection that may be in flight at once; responses keep their order. Default: ${default}, as Kafka does."`
	BigFrameBytes size          `group:"engine" placeholder:"BYTES" default:"64KiB" help:"Frames from this size on are received straight into their own memory, without a copy. Smaller ones go through the engine's buffers, many at once. At least 4KiB. Default: ${default}."`
	PackBytes     size          `group:"engine" placeholder:"BYTES" default:"4KiB" help:"Responses up to this size are copied beside their neighbours, so that many are sent in one piece. Larger ones are sent from where they were written. At most 32KiB; 1 packs nothing. Default: ${default}."`

	Handler  string    `group:"handler" enum:"embedded, null, echo" default:"embedded" help:"Who answers: ${enum}. embedded is a one-node development broker in this process; null speaks Kafka and discards data; echo answers every size-delimited frame with itself. Default: ${default}."`
	Dispatch string    `group:"handler" enum:"pool, inline" default:"pool" help:"Where the handler runs: ${enum}. pool is goroutines behind the request channel; inline is the processor itself, with the lowest latency. Default: ${default}."`
	Handlers int       `group:"handler" placeholder:"N" help:"Goroutines of the pool. Default: 8."`
	Lanes    laneFlags `embed:""`

	Rules  aclFlags   `embed:""`
	Quotas quotaFlags `embed:""`

	DataDir           string  `group:"cluster" placeholder:"DIR" help:"Keep records, topics, groups and offsets here, across restarts. Default: memory only."`
	SyncWrites        bool    `group:"cluster" help:"fsync before every acknowledgement, so that acknowledged data survives a power cut, not only the end of the process. Needs --data-dir."`
	AcceptDataLoss    bool    `group:"cluster" help:"Start even if whole files of --data-dir are missing, empty or unreadable, without what they held. Without this flag kring names them and does not start."`
	MemoryLogBytesMax size    `group:"cluster" placeholder:"BYTES" help:"Bytes of records that are kept without --data-dir, such as 512MiB. Beyond it records are refused (KAFKA_STORAGE_ERROR), which producers retry, until some are deleted. The process takes up to twice as much. Default: a fifteenth of a small memory, up to a quarter of a large one."`
	Partitions        int     `group:"cluster" placeholder:"N" default:"1" help:"Partitions of a topic that is created on demand. Default: ${default}."`
	SeedTopic         []topic `group:"cluster" placeholder:"NAME:PARTITIONS" help:"Topic to create at the start unless it exists; repeat for more."`

	Config string `group:"process" placeholder:"FILE" help:"File of settings, in the form and with the names of Kafka's server.properties, such as max.connections=1000; every flag is kring.FLAG there. Flags and the environment win over it. SIGHUP rereads it. docs/configuration.md has every name; kring config check looks for mistakes. Default: none."`

	HTTP      httpFlags      `embed:""`
	Telemetry telemetryFlags `embed:""`
	Recording recordFlags    `embed:""`

	Upgrade upgradeFlags `embed:""`

	DrainTimeout time.Duration `group:"process" placeholder:"DURATION" default:"7s" help:"How long requests in flight may take to finish after SIGINT or SIGTERM; clients that read nothing of their answers, a fifth of that. A second signal exits at once. Default: ${default}."`
	LogLevel     string        `group:"process" enum:"debug, info, warn, error" default:"info" help:"Least severe log line on standard error: ${enum}. debug has a line for each closed connection. Default: ${default}."`
	LogFormat    string        `group:"process" enum:"text, json" default:"text" help:"Format of log lines: ${enum}. Default: ${default}."`
}

// Help is the text above the flags.
func (serveCmd) Help() string {
	return `The embedded cluster (--handler embedded, the default) is a one-node broker for development: no replicas. Anybody who reaches it may do everything, unencrypted, until --tls-cert, --sasl and --acl say otherwise. It is not for data that must outlive this machine. --data-dir keeps its data across restarts.

Every flag can also be set in the environment, by the variable named with it, and in the file of --config; the command line wins over the environment, and that over the file. In a variable, repeatable flags are a comma-separated list (--quota and --client-telemetry-subscription: separated by semicolons).

Examples:

    kring serve
    kring serve --data-dir ./data --sync-writes --seed-topic orders:6
    kring serve --listen 0.0.0.0:9092 --advertise broker.example.org:9092
    kring serve --listen INTERNAL://0.0.0.0:29092 --listener INTERNAL.advertise=kring:29092 \
                --listen EXTERNAL://0.0.0.0:9092 --listener EXTERNAL.advertise=localhost:9092
    kring serve --engine epoll --dispatch inline --handler null
    KRING_LOG_LEVEL=debug kring serve --listen 127.0.0.1:0

SIGHUP rereads --config and the files that the settings name, such as --quota-file, and resolves the hosts of --ip-limit again, while it serves.

When it serves, one line on standard output says where, on which engine, and why on that one. Exit status: 0 after a signal, 1 for a failure or a second signal, 2 for a wrong setting.`
}

// topic is a --seed-topic.
type topic embedded.Topic

// UnmarshalText reads NAME:PARTITIONS.
func (t *topic) UnmarshalText(text []byte) error {
	name, count, ok := strings.Cut(string(text), ":")
	partitions, err := strconv.Atoi(count)
	if !ok || err != nil {
		return fmt.Errorf("%q is not NAME:PARTITIONS, such as orders:6", text)
	}
	*t = topic{Name: name, Partitions: partitions}
	return embedded.Topic(*t).Validate()
}

func (t topic) String() string { return t.Name + ":" + strconv.Itoa(t.Partitions) }

// Validate checks the flags together; kong calls it.
func (c *serveCmd) Validate() error {
	c.joinFile()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = append(faults, c.validateListeners()...)
	faults = append(faults, c.validateAdvertise()...)
	faults = append(faults, c.validateSecurity()...)
	faults = append(faults, c.validateTLS()...)
	faults = append(faults, c.validateSASL()...)
	for _, n := range []struct {
		flag       string
		value, min int
	}{{"processors", c.Processors, 0}, {"handlers", c.Handlers, 0}, {"pipeline", c.Pipeline, 1}} {
		if n.value < n.min {
			fault("--%s %d: give %d or more", n.flag, n.value, n.min)
		}
	}
	if c.DrainTimeout < 0 {
		fault("--drain-timeout %v: give 0s (cut at once) or more", c.DrainTimeout)
	}
	if _, err := c.quotas(); err != nil {
		faults = append(faults, err)
	}
	faults = append(faults, c.validateACL()...)
	faults = append(faults, c.Bounds.validate()...)
	faults = append(faults, c.Proxy.validate()...)
	faults = append(faults, c.HTTP.validateHosts()...)
	faults = append(faults, c.Limits.validate()...)
	faults = append(faults, c.Quotas.validate()...)
	faults = append(faults, c.Upgrade.validate()...)
	faults = append(faults, c.Lanes.validate(c.Handler)...)
	faults = append(faults, c.HTTP.validate()...)
	faults = append(faults, c.Telemetry.validate(c.Handler, c.HTTP.HTTP)...)
	faults = append(faults, c.Recording.validate(c.Handler)...)
	faults = append(faults, c.validateURing()...)
	return errors.Join(append(faults, c.validateCluster()...)...)
}

func (c *serveCmd) validateURing() []error {
	if len(c.URing) > 0 && !c.mayUseURing() {
		return []error{fmt.Errorf("--uring: these are io_uring's settings, and --engine %s has none of them; leave one of the two out", c.Engine)}
	}
	if _, err := c.uringConfig(); err != nil {
		return []error{err}
	}
	if c.KernelProfile != "max" && !c.mayUseURing() {
		return []error{fmt.Errorf("--kernel-profile: only io_uring has profiles, not --engine %s; leave one of the two out", c.Engine)}
	}
	return nil
}

func (c *serveCmd) mayUseURing() bool {
	return c.Engine == string(kring.EngineAuto) || c.Engine == string(kring.EngineURing)
}

func (c *serveCmd) validateCluster() []error {
	var faults []error
	only := func(flag string, set bool) {
		if set && c.Handler != handlerEmbedded {
			faults = append(faults, fmt.Errorf("--%s: only --handler embedded keeps data, not %s; leave one of the two out", flag, c.Handler))
		}
	}
	only("data-dir", c.DataDir != "")
	only("seed-topic", len(c.SeedTopic) > 0)
	if c.SyncWrites && c.DataDir == "" {
		faults = append(faults, errors.New("--sync-writes: nothing is written without --data-dir; name a directory"))
	}
	if c.AcceptDataLoss && c.DataDir == "" {
		faults = append(faults, errors.New("--accept-data-loss: nothing is kept without --data-dir; name a directory"))
	}
	if c.MemoryLogBytesMax < 0 {
		faults = append(faults, fmt.Errorf("--memory-log-bytes-max %d: give 1 or more, such as 512MiB", c.MemoryLogBytesMax))
	}
	if c.MemoryLogBytesMax > 0 && c.DataDir != "" {
		faults = append(faults, errors.New("--memory-log-bytes-max: with --data-dir records are on disk; leave one of the two out"))
	}
	if c.Partitions < 1 {
		faults = append(faults, fmt.Errorf("--partitions %d: give 1 or more", c.Partitions))
	}
	return faults
}

// Names of handlers for --handler.
const (
	handlerEmbedded = "embedded"
	handlerNull     = "null"
	handlerEcho     = "echo"
)

// splitAddress splits HOST:PORT.
func splitAddress(s string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(s)
	if err != nil {
		var a *net.AddrError
		if errors.As(err, &a) {
			err = errors.New(a.Err)
		}
		return "", 0, err
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", service)
	}
	return host, uint16(n), nil
}

// serverConfig is the network layer's Config from the flags.
func (c *serveCmd) serverConfig() kring.Config {
	cfg := kring.Config{
		Engine:   kring.Engine(c.Engine),
		Dispatch: kring.DispatchConfig{Mode: kring.DispatchMode(c.Dispatch), Handlers: c.Handlers},
		Processors: kring.ProcessorsConfig{
			Count: c.Processors, Wait: kring.Wait(c.Wait), Accept: kring.Accept(c.Accept), Gosched: kring.Gosched(c.Gosched), Rebalance: c.Rebalance,
			BigFrameBytes: int(c.BigFrameBytes), PackedBytesMax: int(c.PackBytes),
		},
		Limits: kring.LimitsConfig{PipelineMax: c.Pipeline},
	}
	cfg.URing, _ = c.uringConfig() // checked by Validate
	cfg.Listeners = c.listeners()
	c.Limits.apply(&cfg)
	c.Sockets.apply(&cfg)
	c.Bounds.apply(&cfg)
	c.Proxy.apply(&cfg)
	cfg.Timeouts.Authentication = c.SASL.AuthTimeout
	c.Lanes.apply(&cfg, c.Handler)
	c.Quotas.apply(&cfg)
	c.HTTP.measure(&cfg)
	cfg.Conns.HandlerFiles = c.handlerFiles(cfg)
	cfg.Memory.HandlerBytes = c.handlerMemory(cfg) + c.Recording.memory()
	return cfg
}

// The embedded cluster gets a fifth of a small memory, and half of a large one less what
// the network layer may take, and beside that what clients leave behind. Requests that wait
// in the cluster take a part of it (clusterRest), and records the rest.
const (
	handlerMemoryPart    = 5
	networkMemoryMost    = 800 << 20
	handlerMemoryUnknown = 2 << 30
	handlerMemoryOnDisk  = 128 << 20
)

// handlerMemory is what the cluster takes at most: twice the bytes of its records, or some
// segments while it loads a data directory.
func (c *serveCmd) handlerMemory(cfg kring.Config) int64 {
	if c.Handler != handlerEmbedded {
		return 0
	}
	limit := cfg.MemoryPlan().Max
	if c.MemoryLogBytesMax > 0 {
		return 2*int64(c.MemoryLogBytesMax) + clusterRest(limit)
	}
	if c.DataDir != "" { // it is loaded before anybody waits
		return max(min(clusterMemory(limit), handlerMemoryOnDisk), clusterRest(limit))
	}
	return clusterMemory(limit)
}

// clusterRest is what requests take that wait in the cluster, and what clients leave
// behind.
func clusterRest(limit int64) int64 {
	return int64(embedded.WaitsMaxIn(limit))*embedded.WaitBytes + clusterKept(limit)
}

// clusterKept is what clients leave behind, and fetch sessions.
func clusterKept(limit int64) int64 { return 2 * embedded.KeptBytesIn(limit) }

// clusterMemory is the cluster's part of a memory limit, with records in memory.
func clusterMemory(most int64) int64 {
	if most == 0 {
		return handlerMemoryUnknown + clusterKept(most)
	}
	return max(most/handlerMemoryPart, (most-networkMemoryMost)/2) + clusterKept(most)
}

// logMemory logs the memory plan, and tells the Go runtime its part unless GOMEMLIMIT is
// set.
func logMemory(log *slog.Logger, cfg kring.Config) {
	m := cfg.MemoryPlan()
	if m.Max > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(m.GoLimit())
	}
	say := []any{"at_most", m.Total(), "base", m.Base, "engines", m.Engines, "reserve", m.Reserve, "connections", m.Conns, "handshakes", m.Handshakes,
		"requests", m.Requests, "held", m.Held, "responses", m.Responses, "handler", m.Handler}
	if m.Max == 0 {
		log.Info("memory, without a bound", say...)
		return
	}
	say = append(say, "max", m.Max, "by", m.Source)
	if m.Total() > m.Max {
		log.Warn("all that the settings allow needs more memory than there may be: lower them, or raise --memory-max", say...)
		return
	}
	log.Info("memory", say...)
}

// handlerFiles is how many descriptors the cluster would use for files.
func (c *serveCmd) handlerFiles(cfg kring.Config) int {
	if c.Handler == handlerGateway {
		return c.gatewayFiles()
	}
	if c.Handler != handlerEmbedded || c.DataDir == "" {
		return 0
	}
	cfg.Conns.HandlerFiles = embedded.FilesFor(0)
	return cfg.Descriptors().Files
}

// logDescriptors logs the plan of descriptors, and warns if something does not fit.
func (c *serveCmd) logDescriptors(log *slog.Logger, cfg kring.Config) {
	d := cfg.Descriptors()
	if d.Limit == 0 {
		return
	}
	say := []any{"limit", d.Limit, "own", d.Own, "reserve", d.Reserve, "connections", d.Conns}
	if cfg.Conns.Max < 0 {
		say[len(say)-1] = "no bound"
	}
	if d.Files > 0 {
		say = append(say, "files", d.Files, "partitions", embedded.PartitionsFor(d.Files))
	}
	if d.Short > 0 {
		log.Warn("there are fewer descriptors than --max-connections and files need: clients beyond them are closed; raise the limit (ulimit -n, LimitNOFILE, --ulimit nofile)",
			append(say, "missing", d.Short)...)
		return
	}
	log.Info("descriptors", say...)
}

// uringConfig is the Config of --uring and --kernel-profile.
func (c *serveCmd) uringConfig() (uring.Config, error) {
	cfg := uring.Config{KernelProfile: c.KernelProfile}
	var faults []error
	for _, s := range c.URing {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			faults = append(faults, fmt.Errorf("--uring %q: give KEY=VALUE, such as recv=single", s))
		} else if err := cfg.Set(key, value); err != nil {
			faults = append(faults, fmt.Errorf("--uring %s: %s", s, strings.TrimPrefix(err.Error(), "uring: ")))
		}
	}
	return cfg, errors.Join(faults...)
}

// clusterConfig is the embedded cluster's Config from the flags.
func (c *serveCmd) clusterConfig() embedded.Config {
	cfg := embedded.Config{
		DataDir: c.DataDir, SyncWrites: c.SyncWrites, AcceptLoss: c.AcceptDataLoss, MemoryLogBytesMax: int64(c.MemoryLogBytesMax), Partitions: c.Partitions,
	}
	cfg.PipelineMax = c.pipelineMost()
	sc := c.serverConfig()
	limit := sc.MemoryPlan().Max
	if c.DataDir == "" && c.MemoryLogBytesMax == 0 {
		cfg.MemoryLogBytesMax = (sc.Memory.HandlerBytes - c.Recording.memory() - clusterRest(limit)) / 2
	}
	cfg.WaitsMax, cfg.KeptBytesMax = embedded.WaitsMaxIn(limit), embedded.KeptBytesIn(limit)
	cfg.FilesMax = max(sc.Conns.HandlerFiles, 1) // 0 would be the cluster's own default
	for _, t := range c.SeedTopic {
		cfg.Seed = append(cfg.Seed, embedded.Topic(t))
	}
	return cfg
}

// pipelineMost is the deepest pipeline of a listener.
func (c *serveCmd) pipelineMost() int {
	most := c.Pipeline
	for _, l := range c.listeners() {
		most = max(most, l.Limits.PipelineMax)
	}
	return most
}
