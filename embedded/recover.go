package embedded

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// After a crash or on a bad disk kfake would lose data: it ends a segment or a log at
// the first fault and drops what is behind it, takes a missing file for an empty one,
// forgets sequence numbers, and aborts open transactions without a marker. So recoverData reads
// the directory before kfake opens it, once, in bounded memory, and repairs it so that
// kfake reads everything. See DESIGN.md, "A data directory is repaired before it is
// loaded".
type recovery struct {
	dir          string
	clusterID    string
	acceptLoss   bool
	sync         bool
	producersMax int64 // bytes of those without a transactional id
	now          time.Time
	copies       *copies
	repairs      *repairLog
	gate         *loadGate
	interrupt    func() bool // of tests: kills the process before a change; nil: nothing does

	// Read before the partitions, then only read.
	manifest         manifest
	clean            bool             // the last process closed the directory
	folders          map[string]int64 // of partitions, and the bytes of their segments
	gated            bool             // kfake takes turns when it loads them
	topics           map[string]topicEntry
	compactByDefault bool
	deleting         map[string]bool // topics, or ids, whose deletion may have been interrupted
	txns             map[int64]*txnNote
	pids             map[int64]pidEntry
	replaced         map[int64]bool         // by others of pids: producers of the same transactional id
	pidsForgot       bool                   // some of the producers in pids.log are not to be kept
	session          *sessionState          // nil: the last process did not write one
	starts           map[string]*topicStart // of logs, by topic; nil: an older version did not write them down
	ended            map[string]endedTxn    // transactions, as far as they are known
	spoiled          bool                   // the manifest was unreadable
	left             map[string]*goneFrom   // by interrupted starts, by folder

	mu       sync.Mutex
	report   loadReport               // guarded by mu
	known    map[damageKey]bool       // guarded by mu; what is in it
	windows  map[windowKey]*seqWindow // guarded by mu
	lostEnds map[place]bool           // guarded by mu
	open     map[int64]*sessionTxn    // guarded by mu
	forgot   bool                     // guarded by mu; the manifest on disk has no checksums of snapshots
}

// recoverData repairs a data directory. On an error kfake must not open it.
func recoverData(cfg *Config) (*recovery, error) {
	m := newRecovery(cfg)
	return m, m.run()
}

func newRecovery(cfg *Config) *recovery {
	now := time.Now()
	return &recovery{
		dir: cfg.DataDir, clusterID: cfg.ClusterID, acceptLoss: cfg.AcceptLoss, sync: cfg.SyncWrites,
		producersMax: producersOf(cmp.Or(cfg.KeptBytesMax, keptUnknown)), now: now,
		copies: newCopies(cfg.DataDir, now), repairs: &repairLog{path: filepath.Join(cfg.DataDir, repairsName)}, gate: newLoadGate(),
		folders: make(map[string]int64), topics: make(map[string]topicEntry), deleting: make(map[string]bool), left: make(map[string]*goneFrom),
		known: make(map[damageKey]bool), windows: make(map[windowKey]*seqWindow), lostEnds: make(map[place]bool), open: make(map[int64]*sessionTxn),
	}
}

func (m *recovery) run() error {
	err := m.recoverAll()
	m.report.Took = time.Since(m.now)
	if err == nil {
		return m.change(m.repairs.end)
	}
	m.repairs.leave()
	return err
}

func (m *recovery) recoverAll() error {
	if err := errors.Join(m.readRepairs(), m.clearNoFiles()); err != nil {
		return err
	}
	if err := errors.Join(m.readManifest(), m.listFolders()); err != nil {
		return err
	}
	if err := errors.Join(m.checkFiles(), m.readSession(), m.readTxns()); err != nil {
		return err
	}
	if len(m.topics) == 0 && len(m.folders) == 0 {
		if _, err := os.Stat(filepath.Join(m.dir, "meta.json")); errors.Is(err, fs.ErrNotExist) {
			return nil // the first start
		}
	}
	if err := errors.Join(m.readStarts(), m.checkFolders()); err != nil {
		return err
	}
	if _, err := m.recoverLog("groups.log"); err != nil {
		return err
	}
	pids, err := m.recoverLog("pids.log")
	if err != nil {
		return err
	}
	m.pids, m.replaced = readPIDs(pids)
	m.pidsForgot = len(m.replaced) > 0
	if err := m.recoverPartitions(); err != nil {
		return err
	}
	err = m.writeProducers()
	m.ended = m.endedTxns()
	return err
}

// recoverPartitions repairs as many partitions at once as there are CPUs.
func (m *recovery) recoverPartitions() error {
	total := int64(0)
	for _, n := range m.folders {
		total += n
	}
	m.gated = total >= gateBytesMin
	work := make(chan *partition)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		faults  []error // guarded by mu
	)
	for range min(runtime.GOMAXPROCS(0), max(1, len(m.folders))) {
		workers.Go(func() {
			mem := make([]byte, windowBytes)
			for p := range work {
				if err := m.recoverPartition(p, mem); err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
				}
			}
		})
	}
	for name := range m.folders {
		topic, n, ok := folderTopic(name)
		if ok {
			work <- &partition{m: m, topic: topic, number: n, name: filepath.Join("partitions", name), compact: m.compact(topic)}
		}
	}
	close(work)
	workers.Wait()
	if m.forgot {
		m.manifest.Snapshots = nil
	}
	return errors.Join(faults...)
}

func (m *recovery) recoverPartition(p *partition, mem []byte) error {
	if err := errors.Join(p.recover(mem)); err != nil {
		return err
	}
	if err := p.writeSnapshot(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if m.gated && len(p.segments) > 0 && m.folders[filepath.Base(p.name)] >= gatePartitionMin {
		if err := m.gate.close(p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	m.collect(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Partitions++
	m.report.Segments += len(p.segments)
	m.report.Batches += p.batches()
	for _, s := range p.segments {
		m.report.Bytes += s.size
	}
	return nil
}

// forgetSnapshots notes that a snapshot is about to be rewritten.
func (m *recovery) forgetSnapshots() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.clean || m.forgot {
		return nil
	}
	m.forgot = true
	n := m.manifest // whose checksums other partitions still read
	n.Snapshots = nil
	return m.change(func() error { return n.write(m.dir) })
}

// readSession reads what an orderly stop wrote about open transactions.
func (m *recovery) readSession() error {
	const name = "session_state.json"
	raw, err := os.ReadFile(filepath.Join(m.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s := new(sessionState)
	fault := m.manifest.compare(stateFile{name: name, json: true}, raw)
	if err := json.Unmarshal(raw, s); err != nil {
		fault = fmt.Errorf("is unreadable: %w", err)
	}
	if fault == nil {
		m.session = s
		return nil
	}
	if err := m.missing(name, fault.Error()); err != nil {
		return err
	}
	_, err = m.copies.moveAway(name)
	return err
}

func (m *recovery) note(d damagedPart) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.add(d) {
		_ = m.repairs.add(repairEntry{Damage: &d}) // such as a full disk: it is said by this start
	}
}

// keep copies what is to be cut. If that fails, the damage has no copy: the disk may be
// full or failing, and what is whole must be served.
func (m *recovery) keep(name string, at, to int64) string {
	kept, err := m.copies.keepRange(name, at, to)
	if err != nil {
		return ""
	}
	return kept
}

func newTopicID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return base64.StdEncoding.EncodeToString(id)
}
