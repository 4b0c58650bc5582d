package embedded

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// store tracks whether writes can be kept. kfake reports a failed write only in its log,
// answers as if nothing had happened, and appends behind half an entry, where nothing is
// found after a crash. So nothing is written while the disk is nearly full, no request is
// acknowledged during which a write failed, and after such a failure nothing is written
// until the directory was repaired and loaded again (see reopen).
//
// Owner: every session; the fields say what guards them.
type store struct {
	dir     string // empty: memory, where no write fails
	log     *slog.Logger
	space   func(dir string) (space, error)
	reserve int64 // bytes, as configured; 0: a share of the disk

	// pending is the bytes of requests that kfake is writing now: the disk does
	// not show them yet.
	pending atomic.Int64
	// failures counts failed writes. fail sets down before it counts, and begin reads
	// the count before it looks at down: a request during which a write failed
	// finds another count, also when the directory was loaded anew meanwhile.
	failures atomic.Uint64
	down     atomic.Bool
	failed   chan struct{} // one element; wakes the reopening

	// mu is held for all of fail and of opened: a failure is of the directory that
	// was opened before it or of the next one, not of neither.
	mu    sync.Mutex
	cause error // guarded by mu; of the first failure since the last opening
	low   bool  // guarded by mu; the log says so
}

// space is what a file system has, for users without privileges.
type space struct {
	free, total         int64 // bytes
	inodes, inodesTotal int64 // inodesTotal 0: the file system has no such limit
}

const (
	reserveBytesMax  = 64 << 20
	reserveShare     = 16 // of the whole disk, where that is less
	reserveInodesMax = 64
	// growthBytes is what a request writes beyond its own size: indexes and log entries.
	// A rewritten JSON file is covered by the reserve.
	growthBytes = 16 << 10
)

func newStore(cfg Config) *store {
	return &store{
		dir: cfg.DataDir, log: cfg.Logger, space: spaceOf, reserve: cfg.DiskReserveBytes,
		failed: make(chan struct{}, 1),
	}
}

// admit returns an error unless size bytes more may be written. After nil, the caller
// calls release with the same size when they are written.
func (s *store) admit(size int64) error {
	if s.dir == "" {
		return nil
	}
	if s.down.Load() {
		if err := s.failure(); err != nil {
			return err
		}
	}
	size += growthBytes
	pending := s.pending.Add(size)
	if err := s.room(pending); err != nil {
		s.pending.Add(-size)
		return err
	}
	return nil
}

func (s *store) release(size int64) {
	if s.dir != "" {
		s.pending.Add(-size - growthBytes)
	}
}

// room returns an error if less than the reserve would be left of the disk.
func (s *store) room(pending int64) error {
	at, err := s.space(s.dir)
	if err != nil {
		return fmt.Errorf("free space of %q: %w", s.dir, err)
	}
	reserve := s.reserve
	if reserve == 0 {
		reserve = min(reserveBytesMax, at.total/reserveShare)
	}
	switch {
	case at.free-pending < reserve:
		err = fmt.Errorf("data directory %q: %d bytes are free, %d are reserved; free some space or choose another --data-dir",
			s.dir, at.free, reserve)
	case at.inodesTotal > 0 && at.inodes < min(reserveInodesMax, at.inodesTotal/reserveShare):
		err = fmt.Errorf("data directory %q: %d inodes are free; delete some files or choose another --data-dir", s.dir, at.inodes)
	}
	s.report(err)
	return err
}

// report logs that the disk became full, or has room again.
func (s *store) report(err error) {
	s.mu.Lock()
	changed := s.low != (err != nil)
	s.low = err != nil
	s.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		s.log.Error("nothing is written any more: clients are answered with KAFKA_STORAGE_ERROR", "error", err)
		return
	}
	s.log.Info("the data directory has room again: writing goes on", "dir", s.dir)
}

// fail records a failed write. Any goroutine may call it; it does not block.
func (s *store) fail(err error) {
	if s.dir == "" {
		return
	}
	s.mu.Lock()
	first := s.cause == nil
	if first {
		s.cause = err
	}
	s.down.Store(true)
	s.failures.Add(1)
	s.mu.Unlock()
	if !first {
		return
	}
	s.log.Error("nothing is written, and clients are answered with KAFKA_STORAGE_ERROR, until the data directory was loaded anew, "+
		"which is tried as soon as it can be written", "dir", s.dir, "error", err)
	select {
	case s.failed <- struct{}{}:
	default: // the reopening knows
	}
}

// failure is the first failure since the last opening; nil: none.
func (s *store) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// opened is called after a directory was loaded again. It returns false if another write
// has failed meanwhile: then the directory has to be loaded once more.
func (s *store) opened(failures uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures.Load() != failures {
		return false
	}
	s.cause = nil
	s.down.Store(false)
	return true
}

// writing is one request that changes what is on disk.
//
// Owner: its session's goroutine.
type writing struct {
	store    *store
	size     int64
	failures uint64 // of the store, when the request began
	sync     *syncing
}

// begin admits a request whose change needs no more room than it frees
// (shrinks), or else only while there is room.
func (s *store) begin(size int64, shrinks bool) (*writing, error) {
	failures := s.failures.Load()
	if shrinks {
		if err := s.failure(); err != nil {
			return nil, err
		}
		size = 0
		s.pending.Add(growthBytes)
	} else if err := s.admit(size); err != nil {
		return nil, err
	}
	return &writing{store: s, size: size, failures: failures}, nil
}

// kept returns nil if no write has failed since begin.
func (w *writing) kept() error {
	if w.sync != nil {
		if err := w.sync.sync(); err != nil {
			w.store.fail(fmt.Errorf("fsync: %w", err))
		}
	}
	if w.store.failures.Load() == w.failures && !w.store.down.Load() {
		return nil
	}
	if err := w.store.failure(); err != nil {
		return err
	}
	return errWriteFailed // and the directory was loaded anew meanwhile
}

func (w *writing) end() {
	w.store.release(w.size)
	if w.sync != nil {
		w.sync.close()
	}
}
