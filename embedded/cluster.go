package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kring/kafka"
	"kring/reqchan"
)

// Cluster is a one-node Kafka cluster. It is the handler of one kring server:
// Handle may be called by any goroutine and does not block, so it serves
// inline and pooled dispatch alike.
type Cluster struct {
	cfg      Config
	log      *slog.Logger
	kfake    *kfake.Cluster
	kfakeLog *logger
	listener *listener
	versions kafka.Versions
	// apiVersions are kfake's answers to ApiVersions, by version.
	apiVersions  [][]byte
	door         *kafka.Door
	transactions transactions
	topicNames   topicNames
	lock         *os.File // nil without a data directory

	advertise  sync.Once
	advertised chan struct{} // closed by Advertise

	sessions struct {
		sync.Mutex
		open    map[*session]struct{} // guarded by Mutex
		closed  bool                  // guarded by Mutex
		running sync.WaitGroup        // the run goroutines of all sessions
		alive   atomic.Int64          // how many those are
	}
}

// Open starts a cluster, with what its data directory holds. Before Advertise
// clients learn what is served, and nothing else.
func Open(cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Cluster{
		cfg:        cfg,
		log:        cfg.Logger,
		kfakeLog:   &logger{to: cfg.Logger},
		listener:   newListener(),
		advertised: make(chan struct{}),
	}
	c.sessions.open = make(map[*session]struct{})
	if err := c.openDir(); err != nil {
		return nil, fmt.Errorf("embedded: data directory %q: %w", cfg.DataDir, err)
	}
	if err := c.start(); err != nil {
		c.unlock()
		return nil, err
	}
	return c, nil
}

// openDir makes the data directory, keeps others out and mends what a crash
// left behind.
func (c *Cluster) openDir() error {
	dir := c.cfg.DataDir
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	c.lock = lock
	if err := mend(dir); err != nil {
		c.unlock()
		return err
	}
	return nil
}

func (c *Cluster) start() error {
	k, err := kfake.NewCluster(c.options()...)
	if err != nil {
		return fmt.Errorf("embedded: start: %w", err)
	}
	c.kfake = k
	if err := c.prepare(); err != nil {
		k.Close()
		return err
	}
	return nil
}

func (c *Cluster) options() []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return c.listener, nil }),
		kfake.ClusterID(c.cfg.ClusterID),
		kfake.DefaultNumPartitions(c.cfg.Partitions),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(c.cfg.BatchBytesMax)}),
		kfake.WithLogger(c.kfakeLog),
		kfake.MaxVersions(everyVersion()),
	}
	if c.cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(c.cfg.DataDir))
	}
	if c.cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// everyVersion caps nothing. It is named all the same: without a cap kfake plays
// a broker that is not released yet, which refuses the first batch of a partition
// whose sequence does not begin at 0 (KAFKA-15591), and names the features of an
// older one.
func everyVersion() *kversion.Versions {
	v := kversion.Tip()
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		v.SetMaxKeyVersion(key, math.MaxInt16)
	}
	return v
}

// prepare does what is to be done between kfake's start and the first client.
func (c *Cluster) prepare() error {
	if c.cfg.DataDir != "" {
		err := os.Remove(filepath.Join(c.cfg.DataDir, "seq_windows.json")) // see mend
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("embedded: data directory %q: %w", c.cfg.DataDir, err)
		}
	}
	for _, t := range c.cfg.Seed {
		err := c.kfake.CreateTopic(t.Name, int32(t.Partitions), nil)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("embedded: seed topic %q: %w", t.Name, err)
		}
	}
	if err := c.restoreShares(); err != nil {
		return fmt.Errorf("embedded: restore share groups: %w", err)
	}
	versions, err := c.askVersions()
	if err != nil {
		return fmt.Errorf("embedded: ask for the served versions: %w", err)
	}
	c.versions = versions
	c.door = kafka.NewDoor(versions, c)
	c.door.Quotas = c.cfg.Quotas
	return nil
}

// Advertise says where clients reach the cluster: the address of the server's
// listener, or what the operator knows better. The first call starts the
// answers to clients.
func (c *Cluster) Advertise(host string, port uint16) {
	c.listener.advertise(net.JoinHostPort(host, strconv.Itoa(int(port))))
	c.advertise.Do(func() { close(c.advertised) })
}

// Versions are the APIs that the cluster serves.
func (c *Cluster) Versions() kafka.Versions { return c.versions }

// ConnOpened makes a connection's session; the server calls it on the
// connection's processor, before the first Handle. The session is the
// connection's attachment.
func (c *Cluster) ConnOpened(conn *reqchan.Conn) {
	s := newSession(c, conn)
	conn.Attach(s)
	c.sessions.Lock()
	defer c.sessions.Unlock()
	c.sessions.open[s] = struct{}{}
	if c.sessions.closed {
		s.end()
	}
}

// ConnClosed ends a connection's session, and with it whatever waits in kfake
// for a client that is gone.
func (c *Cluster) ConnClosed(conn *reqchan.Conn, _ reqchan.CloseReason) {
	s := sessionOf(conn)
	s.end()
	c.sessions.Lock()
	defer c.sessions.Unlock()
	delete(c.sessions.open, s)
}

func sessionOf(conn *reqchan.Conn) *session { return conn.Attachment().(*session) }

// Handle screens a request and hands it to its connection's session.
func (c *Cluster) Handle(r *reqchan.Request) {
	if c.cfg.PipelineMax > 1 {
		sessionOf(r.Conn).order.take(r, c.door.Handle)
		return
	}
	c.door.Handle(r)
}

// APIOf reads which API a payload asks for, for the server to measure by.
func (c *Cluster) APIOf(payload []byte) (key, version int16) { return kafka.APIOf(payload) }

// Close ends the sessions and stops kfake, which writes what is not on disk
// yet. Shut the server down first.
func (c *Cluster) Close() error {
	c.sessions.Lock()
	closed := c.sessions.closed
	c.sessions.closed = true
	for s := range c.sessions.open {
		s.end()
	}
	c.sessions.Unlock()
	if closed {
		return nil
	}
	c.sessions.running.Wait() // kfake must be alive for what they still ask of it
	c.kfake.Close()
	c.unlock()
	return c.kfakeLog.failed()
}

func (c *Cluster) unlock() {
	if c.lock != nil {
		_ = c.lock.Close() // nothing was written to it
	}
}
