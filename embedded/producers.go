package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A crash leaves no seq_windows.json and no session_state.json, where kfake
// keeps the sequence numbers of idempotent producers and the open
// transactions. Both are in the batches: they are read back from there.

const (
	// windowEntries is how many batches of a producer are known again when
	// they are sent again, in kfake as in Kafka.
	windowEntries = 5
	// producersMax bounds the producers of a partition whose sequences are read
	// back; beyond it, half of them, those that wrote last, are kept.
	producersMax = 10_000
	// windowsMax bounds the producers of all partitions.
	windowsMax = 200_000
)

// seqWindows is kfake's seq_windows.json.
type seqWindows struct {
	Version int         `json:"version"`
	Windows []seqWindow `json:"windows"`
}

// seqWindow is what one producer wrote last into one partition.
type seqWindow struct {
	Producer  int64                   `json:"pid"`
	Topic     string                  `json:"topic"`
	Partition int32                   `json:"partition"`
	Entries   [windowEntries]seqEntry `json:"entries"`
	Count     uint8                   `json:"count,omitempty"`
	At        uint8                   `json:"at"`
	Epoch     int16                   `json:"epoch"`
	Seen      bool                    `json:"seen,omitempty"`
	NextSeq   int32                   `json:"next_seq,omitempty"`

	transactional bool
	wrote         int64 // when, in milliseconds since 1970; 0: nobody knows
}

type seqEntry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

func (w *seqWindow) add(h *batchHead) {
	if !w.Seen || w.Epoch != h.producerEpoch {
		w.Entries, w.Count, w.At = [windowEntries]seqEntry{}, 0, 0
		w.Epoch, w.Seen = h.producerEpoch, true
	}
	// The remainder is kfake's, which compares with it.
	w.NextSeq = int32((int64(h.sequence) + int64(h.lastDelta) + 1) % math.MaxInt32)
	w.Entries[w.At] = seqEntry{h.sequence, w.NextSeq, h.offset}
	w.At = (w.At + 1) % windowEntries
	w.Count = min(w.Count+1, windowEntries)
	w.transactional, w.wrote = h.uncommitted(), h.firstTime
}

// last is the offset of the newest batch.
func (w *seqWindow) last() int64 {
	last := int64(-1)
	for _, e := range w.Entries[:min(w.Count, windowEntries)] {
		last = max(last, e.Offset)
	}
	return last
}

// openTxn is a transaction in a partition without its end.
type openTxn struct {
	first, last int64 // offsets
	epoch       int16
	started     time.Time // not before
}

// producers is what a partition's batches say about those who wrote them.
type producers struct {
	windows   map[int64]*seqWindow
	open      map[int64]*openTxn
	cut       []abortedTxn // transactions that a new epoch ended without a marker
	firstTime int64        // of the first batch, milliseconds
	lost      bool         // the log's end was lost: nobody's sequence follows from it
	aborted   int          // markers that were written
}

// batch takes a batch of records into account.
func (p *producers) batch(h *batchHead, written time.Time) {
	if p.windows == nil {
		p.windows, p.open, p.firstTime = make(map[int64]*seqWindow), make(map[int64]*openTxn), h.firstTime
	}
	if h.producer < 0 || h.producerEpoch < 0 || h.sequence < 0 { // kfake keeps no window of it either
		return
	}
	w := p.windows[h.producer]
	if w == nil {
		if len(p.windows) == producersMax {
			p.forget()
		}
		w = &seqWindow{Producer: h.producer}
		p.windows[h.producer] = w
	}
	w.add(h)
	if h.uncommitted() {
		t := p.open[h.producer]
		if t != nil && t.epoch != h.producerEpoch {
			p.cut = append(p.cut, abortedTxn{h.producer, t.first, t.last})
			t = nil
		}
		if t == nil {
			t = &openTxn{first: h.offset, epoch: h.producerEpoch, started: written}
			p.open[h.producer] = t
		}
		t.last = h.offset + int64(h.lastDelta)
	}
}

// forget drops the half of the producers that wrote longest ago.
func (p *producers) forget() {
	lasts := make([]int64, 0, len(p.windows))
	for _, w := range p.windows {
		lasts = append(lasts, w.last())
	}
	slices.Sort(lasts)
	for id, w := range p.windows {
		if w.last() < lasts[len(lasts)/2] {
			delete(p.windows, id)
		}
	}
}

// ended takes a marker into account; open says whether it ended something.
func (p *producers) ended(h *batchHead) (first int64, open bool) {
	t := p.open[h.producer]
	if t == nil {
		return 0, false
	}
	delete(p.open, h.producer)
	return t.first, true
}

// abortOrphans ends the transactions that nobody can go on with, as Kafka's
// coordinator does: without a marker their readers would wait for ever.
func (p *partition) abortOrphans() error {
	p.aborted = append(p.aborted, p.producers.cut...)
	for id, t := range p.producers.open {
		if p.m.goesOn(id, t.epoch) {
			p.m.resume(id, p.topic, p.number, t)
			continue
		}
		s := p.segments[len(p.segments)-1]
		marker := abortMarker(id, t.epoch, s.next, p.m.now)
		h := readHead(marker)
		if err := appendFile(s.path+".dat", s.size, marker); err != nil {
			return err
		}
		if err := appendFile(s.path+".idx", int64(len(s.index)), indexEntry(&h)); err != nil {
			return err
		}
		p.aborted = append(p.aborted, abortedTxn{id, t.first, s.next})
		p.producers.aborted++
		delete(p.producers.open, id)
		s.size += h.bytes
		s.count(&h)
	}
	return nil
}

// appendFile writes behind the first size bytes of a file.
func appendFile(path string, size int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, size)
	return errors.Join(err, f.Truncate(size+int64(len(b))), f.Sync(), f.Close())
}

// abortMarker is the control batch that aborts a transaction.
func abortMarker(producer int64, epoch int16, offset int64, now time.Time) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	marker := kmsg.EndTxnMarker{}
	record := kmsg.Record{Key: key.AppendTo(nil), Value: marker.AppendTo(nil)}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // of a length that has one byte
	b := kmsg.RecordBatch{
		FirstOffset: offset, Magic: batchMagic, Attributes: batchTransactional | batchControl,
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: producer, ProducerEpoch: epoch, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil),
	}
	seal(&b)
	return b.AppendTo(nil)
}

// seal sets a batch's length and checksum.
func seal(b *kmsg.RecordBatch) {
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - batchBodyAt)
	b.CRC = int32(crc32.Checksum(raw[batchAttributesAt:], castagnoli))
}

// pidEntry is an entry of kfake's pids.log.
type pidEntry struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"` // milliseconds
	Commit  *bool  `json:"commit,omitempty"`  // how the last transaction ended

	carried bool // Commit is from an earlier entry
	ended   bool // the last entry is the end of a transaction

	timedOut bool // the last entry is that of a transaction that was aborted for its age
}

// readPIDs replays pids.log as kfake does. Of the producers of one transactional id it has the
// newest; the others are replaced: kfake forgets one whose epochs are used up, but not in the log.
func readPIDs(entries [][]byte) (pids map[int64]pidEntry, replaced map[int64]bool) {
	pids, replaced = make(map[int64]pidEntry), make(map[int64]bool)
	of := make(map[string]int64) // by transactional id
	for _, raw := range entries {
		var e pidEntry
		if json.Unmarshal(raw, &e) != nil {
			continue // kfake says so
		}
		was, known := pids[e.PID]
		switch {
		case e.Type == "init":
			if other, is := of[e.TxID]; e.TxID != "" && is && other != e.PID {
				// A log that kfake wrote anew has them in any order. Nobody begins with the last epoch.
				if e.Epoch >= epochLast-1 && pids[other].Epoch < epochLast-1 {
					replaced[e.PID] = true
					continue
				}
				delete(pids, other)
				replaced[other] = true
			}
			if of[e.TxID] = e.PID; known && e.Commit == nil && e.TxID == was.TxID {
				e.Commit, e.carried = was.Commit, was.Commit != nil
			}
			pids[e.PID] = e
			delete(replaced, e.PID)
		case known:
			was.Epoch, was.carried, was.ended, was.timedOut = e.Epoch, false, e.Type == "endtx", e.Type == "timeout"
			if e.Commit != nil {
				was.Commit = e.Commit
			}
			pids[e.PID] = was
		}
	}
	return pids, replaced
}

// sessionState is what is read and written of kfake's session_state.json.
type sessionState struct {
	ShutdownAt     time.Time    `json:"shutdownAt"`
	InProgressTxns []sessionTxn `json:"inProgressTxns,omitempty"`
}

type sessionTxn struct {
	PID          int64                      `json:"pid"`
	TxStart      time.Time                  `json:"txStart"`
	FirstOffsets map[string]map[int32]int64 `json:"txPartFirstOffsets"`
}

// goesOn says whether an open transaction has an owner who can end it.
func (m *recovery) goesOn(producer int64, epoch int16) bool {
	known, ok := m.pids[producer]
	if !ok || known.TxID == "" || epoch < known.Epoch {
		return false
	}
	return m.session == nil || slices.ContainsFunc(m.session.InProgressTxns, func(t sessionTxn) bool { return t.PID == producer })
}

// resume has kfake go on with a transaction. Its time runs from when the
// segment that it begins in was last written: not before it began.
func (m *recovery) resume(producer int64, topic string, number int32, t *openTxn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.open[producer]
	if s == nil {
		s = &sessionTxn{PID: producer, TxStart: m.now, FirstOffsets: make(map[string]map[int32]int64)}
		m.open[producer] = s
	}
	if t.started.Before(s.TxStart) {
		s.TxStart = t.started
	}
	if s.FirstOffsets[topic] == nil {
		s.FirstOffsets[topic] = make(map[int32]int64)
	}
	s.FirstOffsets[topic][number] = t.first
}

// collect takes a partition's windows.
func (m *recovery) collect(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := place{p.topic, p.number}
	if p.producers.lost {
		m.lostEnds[at] = true
		return
	}
	for _, w := range p.producers.windows {
		if len(m.windows) == windowsMax {
			return
		}
		w.Topic, w.Partition = p.topic, p.number
		m.windows[windowKey{w.Producer, at}] = w
	}
}

type place struct {
	topic     string
	partition int32
}

type windowKey struct {
	producer int64
	place
}

// writeProducers writes what kfake is to know about producers.
func (m *recovery) writeProducers() error {
	path := filepath.Join(m.dir, "seq_windows.json")
	var old seqWindows
	const name = "seq_windows.json"
	if raw, err := os.ReadFile(path); err == nil {
		if json.Unmarshal(raw, &old) != nil || m.manifest.compare(stateFile{name: name, json: true}, raw) != nil {
			m.note(damagedPart{File: name, What: "unreadable; it was made anew from the segments", NextOffset: -1})
			old = seqWindows{}
		}
	}
	for _, w := range old.Windows {
		key := windowKey{w.Producer, place{w.Topic, w.Partition}}
		if m.lostEnds[key.place] {
			continue
		}
		read := m.windows[key]
		if read != nil {
			w.wrote = read.wrote
		}
		if read == nil || w.Count > 0 && w.last() > read.last() {
			m.windows[key] = &w
		}
	}
	maps.DeleteFunc(m.windows, func(key windowKey, w *seqWindow) bool { return m.replaced[key.producer] || w.Epoch < 0 })
	maps.DeleteFunc(m.pids, func(_ int64, known pidEntry) bool { // older versions made them of batches
		none := known.TxID == "" && known.Epoch < 0
		m.pidsForgot = m.pidsForgot || none
		return none
	})
	m.forgetProducers()
	all := seqWindows{Version: layoutVersion}
	for _, w := range m.windows {
		all.Windows = append(all.Windows, *w)
	}
	m.report.Producers = len(all.Windows)
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return errors.Join(m.changed(name), replaceFile(path, bytes.NewReader(raw)), m.writePIDs(), m.writeSession())
}

// writePIDs adds the producers that pids.log lacks: kfake does not write down
// those that never asked it for an id, nor epochs that they raised themselves.
// And it forgets how the last transaction ended when it raises the epoch, so
// that EndTxn, sent again after a crash, would be refused (INVALID_TXN_STATE).
func (m *recovery) writePIDs() error {
	m.raiseEnded()
	var add []byte
	for id, known := range m.pids {
		if !known.carried {
			continue
		}
		known.Type, known.PID, known.carried = "init", id, false
		m.pids[id] = known
		raw, err := json.Marshal(known)
		if err != nil {
			return err
		}
		add = appendEntry(add, raw)
	}
	for key, w := range m.windows {
		known, ok := m.pids[key.producer]
		if ok && known.Epoch >= w.Epoch || !ok && w.transactional {
			continue // a transactional id that expired stays so
		}
		known.Type, known.PID, known.Epoch = "init", key.producer, w.Epoch
		m.pids[key.producer] = known
		raw, err := json.Marshal(known)
		if err != nil {
			return err
		}
		add = appendEntry(add, raw)
	}
	path := filepath.Join(m.dir, "pids.log")
	if m.pidsForgot {
		return m.rewritePIDs(path)
	}
	if len(add) == 0 {
		return nil
	}
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	return appendFile(path, size, add)
}

// raiseEnded raises the epoch of a transaction that a crash interrupted when
// it had ended, and before kfake had raised it (EndTxn from version 5 on): who
// asks for the end again learns of the epoch.
func (m *recovery) raiseEnded() {
	for id, t := range m.txns {
		known := m.pids[id]
		if t.Over || t.Ending == nil || t.Ending.Version < txnEndRaises || !known.ended || known.TxID != t.TxID || known.Epoch != t.Epoch ||
			known.Commit == nil || *known.Commit != t.Ending.Commit || m.open[id] != nil || len(t.Partitions) > 0 {
			continue
		}
		known.Epoch++
		known.carried, known.ended = true, false
		m.pids[id] = known
		t.Over = true
	}
}

// txnEndRaises is the first version of EndTxn that raises the epoch (KIP-890).
const txnEndRaises = 5

// rewritePIDs writes the producers that are left.
func (m *recovery) rewritePIDs(path string) error {
	var all []byte
	for id, known := range m.pids {
		known.Type, known.PID = "init", id
		raw, err := json.Marshal(known)
		if err != nil {
			return err
		}
		all = appendEntry(all, raw)
	}
	return errors.Join(m.changed("pids.log"), replaceFile(path, bytes.NewReader(all)))
}

func (m *recovery) writeSession() error {
	m.report.OpenTxns = len(m.open)
	if m.session != nil || len(m.open) == 0 {
		return nil // kfake's own, from an orderly stop, says more
	}
	s := sessionState{ShutdownAt: m.now}
	for _, t := range m.open {
		s.InProgressTxns = append(s.InProgressTxns, *t)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(m.dir, "session_state.json"), bytes.NewReader(raw))
}
