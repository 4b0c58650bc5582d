package embedded

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// repairsName is a log of what a start found damaged, written before it changes anything, and
// removed when it has changed everything. So what is there was left by starts that were
// interrupted: what they cut out can't be found any more, and must be neither missed nor
// forgotten.
const repairsName = "kring.repairs"

// repairEntry is an entry of it.
type repairEntry struct {
	Damage *damagedPart `json:"damage,omitempty"`
	Gone   *goneFrom    `json:"gone,omitempty"`
}

// goneFrom is what a repair leaves of a partition.
type goneFrom struct {
	Folder  string    `json:"folder"`
	Offsets []offsets `json:"offsets,omitempty"` // that no segment has
	EndLost bool      `json:"end_lost,omitempty"`
	files   []string  // whose damage is known
}

// offsets are those from one to before another.
type offsets struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// repairLog is the log of this start. Safe for concurrent use.
type repairLog struct {
	path string

	mu    sync.Mutex
	file  *os.File // guarded by mu; nil: nothing was written
	begun bool     // guarded by mu; the directory was changed, by this start or by one before
}

// add writes an entry. It survives the end of the process.
func (r *repairLog) add(e repairEntry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			return err
		}
	}
	_, err = r.file.Write(appendEntry(nil, raw))
	return err
}

// keep has it survive a power cut too: the directory is about to be changed.
func (r *repairLog) keep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = true
	if r.file == nil {
		return nil
	}
	return r.file.Sync()
}

// end forgets everything: nothing of it may be believed of what is written from now on. Order:
// it is empty on the disk before it is removed, for a power cut could bring the file back.
func (r *repairLog) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.file != nil {
		err = r.file.Close()
		r.file = nil
	}
	f, failed := os.OpenFile(r.path, os.O_TRUNC|os.O_WRONLY, 0)
	if errors.Is(failed, fs.ErrNotExist) {
		return err
	}
	if failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(r.path))
}

// leave leaves it to the next start, unless nothing was changed: then that finds what there is.
func (r *repairLog) leave() {
	r.mu.Lock()
	begun, file := r.begun, r.file
	r.file = nil
	r.mu.Unlock()
	if file != nil {
		_ = file.Close()
	}
	if !begun {
		_ = r.end()
	}
}

// readRepairs reads what interrupted starts left: it is said again, for nobody knows whether it
// was.
func (m *recovery) readRepairs() error {
	raw, err := os.ReadFile(m.repairs.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := m.repairs.keep(); err != nil {
		return err
	}
	for at := 0; at < len(raw); {
		data, size, ok := entryAt(raw[at:])
		if !ok {
			at = nextEntry(raw, at+1)
			continue
		}
		at += size
		var e repairEntry
		if json.Unmarshal(data, &e) != nil {
			continue
		}
		if d := e.Damage; d != nil {
			m.add(*d)
			if d.Bytes > 0 {
				left := m.leftOf(filepath.Base(filepath.Dir(d.File)))
				left.files = append(left.files, d.File)
			}
		}
		if e.Gone != nil {
			left := m.leftOf(e.Gone.Folder)
			left.Offsets, left.EndLost = append(left.Offsets, e.Gone.Offsets...), left.EndLost || e.Gone.EndLost
		}
	}
	return nil
}

// damageKey is what tells two damages apart.
type damageKey struct {
	file, what        string
	offset, at, bytes int64
}

// add adds to the report what is not in it: an interrupted start may have found the same. mu is held,
// or nobody else is there.
func (m *recovery) add(d damagedPart) (added bool) {
	key := damageKey{d.File, d.What, d.Offset, d.At, d.Bytes}
	if m.known[key] {
		return false
	}
	if len(m.report.Damage) < damageMax {
		m.known[key], added = true, true
	}
	m.report.add(d)
	return added
}

func (m *recovery) leftOf(folder string) *goneFrom {
	if m.left[folder] == nil {
		m.left[folder] = &goneFrom{Folder: folder}
	}
	return m.left[folder]
}

// begun is what interrupted starts left of the partition; the zero value: nothing.
func (p *partition) begun() *goneFrom {
	if left := p.m.left[filepath.Base(p.name)]; left != nil {
		return left
	}
	return new(goneFrom)
}

// gone says that an interrupted start knew all these offsets to be in no segment.
func (g *goneFrom) gone(from, to int64) bool {
	known := slices.Clone(g.Offsets)
	slices.SortFunc(known, func(a, b offsets) int { return cmp.Compare(a.From, b.From) })
	for _, o := range known {
		if o.From > from {
			break
		}
		from = max(from, o.To)
	}
	return len(known) > 0 && from >= to
}

// begin writes down what the repair will leave of the partition, if it will change it. Order:
// everything that is noted is in the log by then.
func (p *partition) begin() error {
	g := goneFrom{Folder: filepath.Base(p.name), EndLost: p.producers.lost}
	changes := p.emptied()
	for i, s := range p.segments {
		changes = changes || len(s.cuts) > 0 || len(s.patches) > 0 || s.splits != nil && s.size >= splitBytes
		o := offsets{s.next, s.limit}
		if s.batches == 0 {
			o.From = s.offset
		}
		if last := i == len(p.segments)-1; o.From < o.To && (!last || s.batches == 0) {
			g.Offsets = append(g.Offsets, o)
		}
	}
	if !changes {
		return nil
	}
	err := p.m.change(func() error { return p.m.repairs.add(repairEntry{Gone: &g}) }, p.m.repairs.keep)
	if len(g.Offsets) == 0 && !errors.Is(err, errInterrupted) {
		return nil // such as a full disk: nothing will be missed
	}
	return err
}

// emptied says that no segment has a batch any more, and that keepEnd will make another one.
func (p *partition) emptied() bool {
	n := len(p.segments)
	return n > 0 && p.batches() == 0 && (n > 1 || p.segments[0].offset != p.end())
}

// change changes the directory, step by step until one fails. What is between two is what a
// process that is killed leaves.
func (m *recovery) change(steps ...func() error) error {
	for _, do := range steps {
		if m.interrupt != nil && m.interrupt() {
			return errInterrupted
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// errInterrupted is for tests: the process was killed.
var errInterrupted = errors.New("interrupted")
