package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loadGate bounds how many partitions kfake loads at once. It loads all of
// them together, each with a segment in memory, so that a hundred partitions
// need a hundred segments. There is no setting for it; but it logs a line when
// it finds bytes in a segment that are no batch, and waits for that line to be
// written. So each partition gets two segments of one such byte, which come
// before and behind all others: at the first it waits for its turn, at the
// second it gives it up. kfake empties both and forgets them; open removes
// them.
//
// To go when kfake bounds its load itself.
type loadGate struct {
	turns chan struct{} // one for each partition that is being loaded

	mu   sync.Mutex
	held map[string][]byte // guarded by mu; the snapshots without the two, by path
}

const (
	gateFirst = int64(-1)
	gateLast  = int64(math.MaxInt64)
	// gateBytesMin is the size of a directory, and gatePartitionMin that of a
	// partition, from which on turns are taken.
	gateBytesMin     = 64 << 20
	gatePartitionMin = 64 << 10
	// gateWaitMax is how long a partition waits for its turn. A turn is lost
	// when kfake cannot read a segment: it then ends when all others have ended.
	gateWaitMax = 30 * time.Second
	gateLine    = "segment %d: truncating"
)

func newLoadGate() *loadGate {
	return &loadGate{turns: make(chan struct{}, runtime.GOMAXPROCS(0)), held: make(map[string][]byte)}
}

// close has kfake wait for its turn with a partition whose snapshot is in
// place.
func (g *loadGate) close(p *partition) error {
	path := p.path("snapshot.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	s.Segments = append(append([]snapshotSegment{{BaseOffset: gateFirst, Size: 1}}, s.Segments...), snapshotSegment{BaseOffset: gateLast, Size: 1})
	gated, err := json.Marshal(s)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.held[path] = raw
	g.mu.Unlock()
	for _, base := range []int64{gateFirst, gateLast} {
		if err := os.WriteFile(p.path(strconv.FormatInt(base, 10)+".dat"), []byte{0}, 0o644); err != nil {
			return err
		}
	}
	return replaceSynced(path, bytes.NewReader(gated), unsynced)
}

// open puts everything back when kfake has loaded it.
func (g *loadGate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var faults []error
	for path, raw := range g.held {
		faults = append(faults, replaceSynced(path, bytes.NewReader(raw), unsynced), removeGates(strings.TrimSuffix(path, "snapshot.json")))
	}
	g.held = nil
	return errors.Join(faults...)
}

// removeGates removes the two segments from a partition's folder.
func removeGates(dir string) error {
	var faults []error
	for _, base := range []int64{gateFirst, gateLast} {
		if err := os.Remove(dir + strconv.FormatInt(base, 10) + ".dat"); !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// heard takes a line of kfake's log; true if it was one of the two, which may
// have waited.
func (g *loadGate) heard(format string, args []any) bool {
	if g == nil || len(args) < 3 || !strings.Contains(format, gateLine) {
		return false
	}
	switch args[2] {
	case gateFirst:
		timeout := time.NewTimer(gateWaitMax)
		defer timeout.Stop()
		select {
		case g.turns <- struct{}{}:
		case <-timeout.C:
		}
		return true
	case gateLast:
		select {
		case <-g.turns:
		default: // its turn came by time
		}
		return true
	}
	return false
}

// ungated is a snapshot without the two segments, which a process that was
// killed during its start leaves.
func (s *snapshot) ungated() {
	if n := len(s.Segments); n > 1 && s.Segments[0].BaseOffset == gateFirst && s.Segments[n-1].BaseOffset == gateLast {
		s.Segments = s.Segments[1 : n-1]
	}
}
