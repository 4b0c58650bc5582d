package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncs makes sure that what is acknowledged was synced. With SyncWrites kfake syncs, but
// ignores errors. So a request's files are synced once more before it is answered, by
// descriptors that were opened before it wrote: each descriptor gets an error once, even
// if kfake's got it first (errseq_t, since Linux 4.13). Directories of new files, which
// kfake never syncs, are synced too.
type syncs struct {
	dir  string
	file func(*os.File) error  // fsync(2)
	name func([16]byte) string // of the topic that has an id

	mu sync.Mutex
	// suspects are files of which a part could not be synced. The kernel does not write
	// that part again: it counts it as written.
	suspects map[string]bool // guarded by mu
	// transactions are the partitions that a transactional id may have written
	// to since its last end. An id that is not there may have written anywhere.
	transactions map[string]map[string]bool // guarded by mu
}

// transactionsMax bounds how many transactional ids are remembered, and
// transactionPartitionsMax the partitions of each. The ends of other transactions
// sync every partition.
const (
	transactionsMax          = 10_000
	transactionPartitionsMax = 256
)

func newSyncs(dir string) *syncs {
	return &syncs{
		dir: dir, file: (*os.File).Sync,
		suspects: make(map[string]bool), transactions: make(map[string]map[string]bool),
	}
}

// syncing is one request's files.
//
// Owner: its session's goroutine.
type syncing struct {
	of   *syncs
	open map[string]*os.File
	last map[string]int64 // of a partition's directory: its last segment before the request; -1: none
	logs []string
}

// begin opens the files that a request will write to.
func (s *syncs) begin(req kmsg.Request) (*syncing, error) {
	w := &syncing{of: s, open: make(map[string]*os.File), last: make(map[string]int64)}
	dirs := s.partitionsOf(req)
	if _, ok := req.(*kmsg.ProduceRequest); !ok {
		w.logs = []string{filepath.Join(s.dir, "groups.log"), filepath.Join(s.dir, "pids.log")}
	}
	for _, log := range w.logs {
		if err := w.take(log); err != nil {
			w.close()
			return nil, err
		}
	}
	for _, dir := range dirs {
		w.last[dir] = -1
		if err := w.takeSegments(dir); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// partitionsOf are the directories of the partitions that a request writes to.
func (s *syncs) partitionsOf(req kmsg.Request) (dirs []string) {
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		for _, t := range req.Topics {
			topic := t.Topic
			if req.Version >= produceNamesIDs {
				topic = s.name(t.TopicID)
			}
			for _, p := range t.Partitions {
				dirs = append(dirs, s.partitions(topic, []int32{p.Partition})...)
			}
		}
		if req.TransactionID != nil {
			s.wrote(*req.TransactionID, dirs)
		}
	case *kmsg.AddPartitionsToTxnRequest: // which writes to them when it ends
		for _, t := range req.Topics {
			s.wrote(req.TransactionalID, s.partitions(t.Topic, t.Partitions))
		}
		for _, tx := range req.Transactions {
			for _, t := range tx.Topics {
				s.wrote(tx.TransactionalID, s.partitions(t.Topic, t.Partitions))
			}
		}
	case *kmsg.WriteTxnMarkersRequest:
		for _, m := range req.Markers {
			for _, t := range m.Topics {
				dirs = append(dirs, s.partitions(t.Topic, t.Partitions)...)
			}
		}
	case *kmsg.EndTxnRequest:
		dirs = s.writtenBy(req.TransactionalID)
	case *kmsg.InitProducerIDRequest:
		if req.TransactionalID != nil { // an open transaction is aborted
			dirs = s.writtenBy(*req.TransactionalID)
		}
	}
	return dirs
}

// partitions leaves out those that there can't be: a name that is too long for a
// file would be an error to whoever looks for its folder.
func (s *syncs) partitions(topic string, of []int32) (dirs []string) {
	if !validTopicName(topic) {
		return nil
	}
	for _, p := range of {
		if p >= 0 && p < partitionsMax {
			dirs = append(dirs, partitionDir(s.dir, topic, p))
		}
	}
	return dirs
}

// partitionDir is where kfake keeps a partition.
func partitionDir(dir, topic string, partition int32) string {
	return filepath.Join(dir, "partitions", folderName(topic, partition))
}

// wrote remembers where a transaction will be ended. Nobody has looked yet whether
// the partitions are there, nor whose the transaction is.
func (s *syncs) wrote(id string, dirs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.transactions[id]
	if of == nil {
		return
	}
	for _, dir := range dirs {
		of[dir] = true
	}
	if len(of) > transactionPartitionsMax {
		delete(s.transactions, id)
	}
}

// transactionEnded notes that kfake has said so, and that what it wrote was synced.
// What it refused to end is still open.
func (c *Cluster) transactionEnded(id string) {
	if c.cfg.SyncWrites {
		c.syncs.ended(id)
	}
}

// ended notes that no transaction of an id is open.
func (s *syncs) ended(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transactions[id] != nil || len(s.transactions) < transactionsMax {
		s.transactions[id] = make(map[string]bool)
	}
}

// writtenBy is where a transaction will be ended: everywhere, when it is not
// known, which is so after a start, and beyond transactionsMax.
func (s *syncs) writtenBy(id string) (dirs []string) {
	s.mu.Lock()
	of, known := s.transactions[id]
	for dir := range of {
		dirs = append(dirs, dir)
	}
	s.mu.Unlock()
	if known {
		return dirs
	}
	entries, _ := os.ReadDir(filepath.Join(s.dir, "partitions")) // none: nothing was written
	for _, e := range entries {
		dirs = append(dirs, filepath.Join(s.dir, "partitions", e.Name()))
	}
	return dirs
}

// take opens a file, unless there is none.
func (w *syncing) take(path string) error {
	if w.open[path] != nil {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		w.open[path] = f
	}
	return err
}

// takeSegments opens the last segment of a partition, or those that came since
// it was looked for the first time.
func (w *syncing) takeSegments(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bases := make([]int64, 0, len(entries))
	last := w.last[dir]
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				bases = append(bases, base)
				last = max(last, base)
			}
		}
	}
	if w.last[dir] < 0 {
		w.last[dir] = last
	}
	for _, base := range bases {
		if base < w.last[dir] {
			continue
		}
		segment := filepath.Join(dir, strconv.FormatInt(base, 10))
		if err := errors.Join(w.take(segment+".dat"), w.take(segment+".idx")); err != nil {
			return err
		}
	}
	return nil
}

// sync returns nil when all that the request wrote is on disk.
func (w *syncing) sync() error {
	known := len(w.open)
	var errs []error
	for _, log := range w.logs {
		errs = append(errs, w.retake(log))
	}
	for dir := range w.last {
		errs = append(errs, w.takeSegments(dir))
	}
	for path, f := range w.open {
		if err := w.of.file(f); err != nil {
			w.of.suspect(path)
			errs = append(errs, err)
		}
	}
	if len(w.open) > known || len(w.logs) > 0 {
		errs = append(errs, w.of.directory(w.of.dir))
		for dir := range w.last {
			errs = append(errs, w.of.directory(filepath.Dir(dir)), w.of.directory(dir))
		}
	}
	return errors.Join(errs...)
}

// retake opens a log that was written anew (compacted) under its name meanwhile.
func (w *syncing) retake(path string) error {
	f := w.open[path]
	if f == nil {
		return w.take(path)
	}
	held, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Stat(path)
	if err != nil || os.SameFile(held, now) {
		return err
	}
	delete(w.open, path)
	if err := errors.Join(w.of.file(f), f.Close()); err != nil {
		return err
	}
	return w.take(path)
}

func (w *syncing) close() {
	for _, f := range w.open {
		_ = f.Close() // it was synced, or its request refused
	}
}

func (s *syncs) suspect(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspects[path] = true
}

// directory syncs a directory's entries; one that is not there has none.
func (s *syncs) directory(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(s.file(d), d.Close())
}

// rewriteSuspects writes the files anew of which a part may not be on disk.
// Nobody writes to them meanwhile.
func (s *syncs) rewriteSuspects() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.suspects {
		if err := s.rewrite(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(s.suspects, path)
	}
	return nil
}

func (s *syncs) rewrite(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	return errors.Join(replaceSynced(path, from, s.file), s.directory(filepath.Dir(path)))
}

// all syncs every file, after an orderly stop has written most of them anew.
func (s *syncs) all(on bool) error {
	if !on {
		return nil
	}
	return filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return s.directory(path)
		case e.Type()&fs.ModeSymlink != 0:
			return s.linked(path)
		case !e.Type().IsRegular():
			return nil
		}
		return s.named(path)
	})
}

// linked syncs what a link points to: a file, or a directory and its files.
func (s *syncs) linked(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // a link to nowhere
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular():
		return s.named(path)
	case !info.IsDir():
		return nil
	}
	entries, err := os.ReadDir(path)
	faults := []error{err}
	for _, e := range entries {
		if e.Type().IsRegular() {
			faults = append(faults, s.named(filepath.Join(path, e.Name())))
		}
	}
	return errors.Join(append(faults, s.directory(path))...)
}

// named syncs a file.
func (s *syncs) named(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(s.file(f), f.Close())
}
