package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kring/kafka"
	"kring/quota"
	"kring/reqchan"
)

// Cluster is a one-node Kafka cluster. It is the handler of one kring server:
// Handle may be called by any goroutine and does not block, so it serves
// inline and pooled dispatch alike.
type Cluster struct {
	cfg Config
	log *slog.Logger

	// restoring is held while the directory is loaded anew and until kfake was told
	// what is not on disk; clients' sessions connect under it. Order: before live.
	restoring sync.RWMutex

	live     sync.RWMutex
	kfake    *kfake.Cluster // guarded by live: reopen replaces it
	kfakeLog *logger        // guarded by live
	listener *listener      // guarded by live
	dir      dataDir        // guarded by live; kfake's way to the data directory

	store    *store
	topics   *topics
	syncs    *syncs
	draining atomic.Bool     // Drain was called, and not Close alone
	drained  context.Context // done when Drain was called
	drain    context.CancelFunc
	// linesClosed is done linesStay after that, or when Close was called.
	linesClosed    context.Context
	closeLines     context.CancelFunc
	closeLinesOnce sync.Once
	linesStay      time.Duration
	starts         *starts
	closing        chan struct{}  // closed by Close
	watching       sync.WaitGroup // the goroutine that reopens
	versions       kafka.Versions
	// apiVersions are the bodies of our answers to ApiVersions, by version.
	apiVersions  atomic.Pointer[[][]byte]
	filter       *kafka.Filter
	transactions transactions
	topicNames   topicNames
	lock         *os.File   // nil without a data directory
	loaded       loadReport // guarded by live; of the data directory
	memory       memoryLog
	answers      answers
	kept         kept
	fetchRoom    fetchRoom
	producers    producerRoom
	polling      places // of Fetch and ShareFetch
	joining      places // of JoinGroup and SyncGroup
	runs         runs
	txns         *txnLog            // guarded by live; nil without a data directory
	resume       map[int64]*txnNote // transactions that kfake is to be told about

	inside       *inside // our own connection to kfake
	settings     *settings
	clientQuotas clientQuotas
	groupGate    *groupGate
	janitor      *janitor
	// decoding is held while the records of a batch are read: one at a time, so
	// that what they decompress to is bounded over all connections.
	decoding sync.Mutex

	advertise  sync.Once
	advertised chan struct{} // closed by Advertise
	adverts    struct {
		sync.Mutex
		on atomic.Pointer[map[string]kafka.Address] // by listener; replaced, never changed, under Mutex
	}

	sessions struct {
		sync.Mutex
		open    map[*session]struct{} // guarded by Mutex
		closed  bool                  // guarded by Mutex
		running sync.WaitGroup        // the run goroutines of all sessions
		alive   atomic.Int64          // how many have a request
		pipes   atomic.Int64          // connections to kfake that they have
	}
}

// ErrInUse is that another process has opened the data directory.
var ErrInUse = errors.New("another process uses this directory")

// Open starts a cluster, with what its data directory holds. Before Advertise only
// ApiVersions is answered.
func Open(cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Cluster{
		cfg:        cfg,
		log:        cfg.Logger,
		listener:   newListener(),
		store:      newStore(cfg),
		topics:     newTopics(cfg, cfg.Logger.Warn),
		syncs:      newSyncs(cfg.DataDir),
		groupGate:  newGroupGate(),
		closing:    make(chan struct{}),
		advertised: make(chan struct{}),
	}
	c.starts = newStarts(cfg.DataDir, func(f *os.File) error { return c.syncs.file(f) })
	c.syncs.name = c.topicName
	c.kfakeLog = &logger{to: cfg.Logger, store: c.store}
	c.drained, c.drain = context.WithCancel(context.Background())
	c.linesClosed, c.closeLines = context.WithCancel(context.Background())
	c.linesStay = linesStay
	c.memory.max = cfg.MemoryLogBytesMax
	c.answers.init()
	c.kept.init(cfg.KeptBytesMax)
	c.fetchRoom.init(cfg.KeptBytesMax - producersOf(cfg.KeptBytesMax))
	c.producers.init(producersOf(cfg.KeptBytesMax))
	c.joining.most = int64(cfg.WaitsMax / joinsPart)
	c.polling.most = int64(cfg.WaitsMax) - c.joining.most
	c.runs.init(max(cfg.WaitsMax/runsPart, runsLeast))
	c.sessions.open = make(map[*session]struct{})
	c.inside, c.settings = &inside{cluster: c}, newSettings(c)
	c.answers.polling.ask = c.inside.ask
	if err := c.openDir(); err != nil {
		return nil, fmt.Errorf("embedded: data directory %q: %w", cfg.DataDir, err)
	}
	if err := c.start(); err != nil {
		c.unlock()
		return nil, err
	}
	return c, nil
}

// openDir makes the data directory, locks it, and repairs what a crash left behind.
func (c *Cluster) openDir() error {
	dir := c.cfg.DataDir
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := lockDir(dir, c.cfg.InUseWait)
	if err != nil {
		return err
	}
	c.lock = lock
	if err := c.recoverDir(); err != nil {
		c.unlock()
		return err
	}
	return nil
}

// recoverDir repairs the data directory for load: at the start, and after a failed write.
func (c *Cluster) recoverDir() error {
	c.txns.close()
	m, err := recoverData(&c.cfg)
	c.kfakeLog.gate = m.gate
	c.loaded = m.report
	c.loaded.log(c.log)
	if err != nil {
		return err
	}
	c.transactions.restore(m.ended)
	c.producers.loaded(m)
	owned := m.ownedTxns()
	if c.resume = nil; m.session == nil {
		c.resume = owned // else kfake knows
	}
	var directory func() error
	if c.cfg.SyncWrites {
		directory = func() error { return c.syncs.directory(c.cfg.DataDir) }
	}
	if c.txns, err = openTxnLog(c.cfg.DataDir, directory, owned); err != nil {
		return err
	}
	return errors.Join(c.starts.keepEnds(), writeEndedTxns(c.cfg.DataDir, m.ended))
}

func (c *Cluster) start() error {
	if err := c.load(); err != nil {
		return fmt.Errorf("embedded: start: %w", err)
	}
	if err := c.prepare(); err != nil {
		c.inside.close()
		c.giveUp()
		return err
	}
	c.watchStore()
	c.janitor = startJanitor(c)
	return nil
}

// load runs kfake on what recoverDir left in the data directory.
func (c *Cluster) load() error {
	began := time.Now()
	dir, err := openDataDir(c.cfg.DataDir)
	if err != nil {
		return err
	}
	c.dir, c.kfakeLog.dir = dir, dir
	k, err := kfake.NewCluster(c.options()...)
	if err != nil {
		dir.close()
		return err
	}
	c.kfake = k
	c.fetchRoom.clear()
	c.transactions.again()
	if err := c.openedDir(); err != nil {
		c.giveUp()
		return err
	}
	c.loaded.Took += time.Since(began)
	if c.loaded.Partitions > 0 {
		c.log.Info("data directory loaded", c.loaded.attrs()...)
	}
	if c.loaded.Bytes > freedBytesMin {
		debug.FreeOSMemory() // kfake read every segment whole, one after another
	}
	return nil
}

// freedBytesMin: after loading so many bytes, memory is given back to the system.
const freedBytesMin = 32 << 20

func (c *Cluster) options() []kfake.Opt {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return c.listener, nil }),
		kfake.ClusterID(c.cfg.ClusterID),
		kfake.DefaultNumPartitions(c.cfg.Partitions),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":      strconv.Itoa(segmentBytesMax),
			"log.cleaner.backoff.ms": strconv.Itoa(cleanerOff),
		}),
		kfake.GroupMaxSessionTimeout(sessionTimeoutMax),
		kfake.WithLogger(c.kfakeLog),
		kfake.MaxVersions(everyVersion()),
	}
	if c.cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(c.dir.path))
	}
	if c.cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// everyVersion caps no version. It is set nevertheless: without a cap kfake behaves as a
// broker that is not released yet, which refuses the first batch of a partition whose
// sequence does not begin at 0 (KAFKA-15591), and announces the features of an older
// one. The features and their levels are those of Apache Kafka 4.1, with which kring is
// compared: later ones contain what is not served here (streams groups, dead letter
// queues).
func everyVersion() *kversion.Versions {
	v := kversion.V4_1_0()
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		v.SetMaxKeyVersion(key, math.MaxInt16)
	}
	return v
}

// prepare does what is needed between kfake's start and the first client.
func (c *Cluster) prepare() error {
	if err := c.settings.load(); err != nil {
		return fmt.Errorf("embedded: read the settings: %w", err)
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
	if c.cfg.DataDir != "" {
		if err := c.askKept(); err != nil {
			return fmt.Errorf("embedded: ask for what clients have left behind: %w", err)
		}
	}
	c.versions = versions
	c.filter = kafka.NewFilter(versions, c)
	c.filter.Rejected = c.cfg.Rejected
	if c.filter.Producers = c.cfg.Producers; c.cfg.Producers != nil && !pointAt(c.cfg.Producers.Topics, c) {
		c.cfg.Producers.Topics = newIndex(c)
	}
	if c.filter.TopicCounts = c.cfg.TopicCounts; c.cfg.TopicCounts != nil && !pointAt(c.cfg.TopicCounts.Topics, c) {
		c.cfg.TopicCounts.Topics = newIndex(c)
	}
	c.filter.Authorizer, c.filter.Denied = c.cfg.Authorizer, c.cfg.Denied
	c.filter.Topics, c.filter.AuthorizeLater = topicIndex{c}, true // which asks kfake
	c.filter.SASL, c.filter.SCRAMUsers, c.filter.Telemetry = c.cfg.SASL, c.cfg.SCRAMUsers, c.cfg.Telemetry
	return c.prepareQuotas()
}

// prepareQuotas sets the operator's quotas and those that clients have set.
func (c *Cluster) prepareQuotas() error {
	c.clientQuotas.to = c.cfg.Quotas
	if c.clientQuotas.to == nil {
		none, err := quota.New(quota.Config{})
		if err != nil {
			return err
		}
		c.clientQuotas.to = none
	}
	c.filter.Quotas = c.clientQuotas.to
	if err := c.clientQuotas.dropNotDone(c.inside.ask, c.log); err != nil {
		return fmt.Errorf("embedded: drop quotas that nobody enforces: %w", err)
	}
	if _, err := c.clientQuotas.load(c.inside.ask); err != nil {
		return fmt.Errorf("embedded: read the quotas: %w", err)
	}
	return nil
}

// openedDir notes that kfake has read the directory. An orderly stop alone
// writes seq_windows.json; after a crash it would be older than the log, and
// producers would be refused for it (OUT_OF_ORDER_SEQUENCE_NUMBER).
func (c *Cluster) openedDir() error {
	if c.cfg.DataDir == "" {
		return nil
	}
	err := os.Remove(filepath.Join(c.cfg.DataDir, "seq_windows.json"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, c.kfakeLog.gate.open(), c.applyStarts()); err != nil {
		return err
	}
	return errors.Join(c.beginDir(), c.resumeTxns())
}

// beginDir records what the directory has, so that the next start sees if it is missing.
func (c *Cluster) beginDir() error {
	if err := errors.Join(markLogs(c.cfg.DataDir), writeManifest(c.cfg.DataDir, false)); err != nil {
		return err
	}
	began, err := c.starts.begin()
	if err == nil && began {
		err = writeManifest(c.cfg.DataDir, false) // which has the new file
	}
	return err
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

// ConnClosed ends a connection's session, and with it the client's requests that wait in
// kfake.
func (c *Cluster) ConnClosed(conn *reqchan.Conn, _ reqchan.CloseReason) {
	s := sessionOf(conn)
	s.end()
	c.cfg.Telemetry.Forget(conn.ID)
	c.sessions.Lock()
	defer c.sessions.Unlock()
	delete(c.sessions.open, s)
}

func sessionOf(conn *reqchan.Conn) *session { return conn.Attachment().(*session) }

// Handle validates a request and hands it to its connection's session.
func (c *Cluster) Handle(r reqchan.Request) {
	if c.cfg.PipelineMax > 1 {
		sessionOf(r.Conn()).order.take(r, c.filter.Handle)
		return
	}
	c.filter.Handle(r)
}

// APIOf reads the API key and version of a payload; the server measures by them.
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
	c.drain()
	c.closeLines()
	close(c.closing)
	c.watching.Wait()
	c.janitor.close()
	c.inside.close()
	c.answers.tidying.end()
	c.answers.polling.end()
	c.sessions.running.Wait() // kfake must be alive for what they still ask of it
	defer c.unlock()
	if err := c.end(); err != nil {
		return err
	}
	err := errors.Join(c.kfakeLog.failed(), c.syncs.all(c.cfg.SyncWrites))
	if err == nil && c.cfg.DataDir != "" {
		err = errors.Join(c.keepEndedTxns(), writeManifest(c.cfg.DataDir, true))
	}
	return err
}

// end ends kfake. Views and metrics may ask on, and after a failed upgrade go on to: they are
// told that nothing is there, where a kfake that has ended would never answer.
func (c *Cluster) end() error {
	c.live.Lock()
	defer c.live.Unlock()
	if err := c.store.failure(); err != nil {
		c.abandon()
		return err
	}
	c.kfake.Close()
	c.dir.close()
	c.kfake = nil
	return nil
}

func (c *Cluster) unlock() {
	c.txns.close()
	if c.lock != nil {
		_ = c.lock.Close() // nothing was written to it
	}
}
