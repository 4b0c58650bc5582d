package embedded

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake keeps in memory what a transaction has besides its records: the
// partitions that were added to it, the offsets that are to be committed with
// it, and whether its end was asked for. txnLog writes that down before it is
// acknowledged, so that a transaction goes on after a crash, and one that was
// being ended is ended in every partition. (Kafka: __transaction_state.)
type txnLog struct {
	path      string
	directory func() error // syncs the directory of the file; nil: nothing is synced
	max       int64        // bytes; see full

	mu   sync.Mutex
	new  bool               // guarded by mu; the file was made anew since its directory was synced
	made time.Time          // guarded by mu; when full last had the file made anew
	file *os.File           // guarded by mu
	size int64              // guarded by mu; of the file
	kept int64              // guarded by mu; its size when it was last made anew
	open map[int64]*txnNote // guarded by mu; by producer id
}

const (
	txnLogName = "txns.log"
	// txnLogSlack is by how much the file grows before it is made anew with
	// the transactions that are open.
	txnLogSlack = 4 << 20
	// txnLogBytesMax bounds the file, and with it the open transactions in memory.
	txnLogBytesMax = 64 << 20
	// txnLogPause is how often the file is made anew to find room.
	txnLogPause = time.Second
	// txnsMax bounds the transactions that ended and are remembered.
	txnsMax = 10_000
)

// txnNote is an entry of the log: what is new about a transaction, or, in
// memory, all that is known about it.
type txnNote struct {
	PID        int64                                     `json:"pid"`
	Epoch      int16                                     `json:"epoch"`
	TxID       string                                    `json:"txid,omitempty"`
	Partitions map[string][]int32                        `json:"partitions,omitempty"`
	Groups     map[string]map[string]map[int32]txnOffset `json:"groups,omitempty"` // by group, topic, partition
	Ending     *txnEnd                                   `json:"ending,omitempty"`
	// Over says that the transaction has ended, Refused that its end was.
	Over    bool `json:"over,omitempty"`
	Refused bool `json:"refused,omitempty"`
	// Deleting names topics, or their ids in base64, that are being deleted.
	Deleting []string `json:"deleting,omitempty"`
}

type txnOffset struct {
	Offset      int64   `json:"o"`
	LeaderEpoch int32   `json:"e"`
	Metadata    *string `json:"m,omitempty"`
}

type txnEnd struct {
	Commit  bool  `json:"commit"`
	Version int16 `json:"version"` // of EndTxn
}

// add takes an entry into account.
func (l *txnLog) add(n *txnNote) {
	t := l.open[n.PID]
	if t != nil && (n.Epoch < t.Epoch || t.Over && n.Epoch == t.Epoch && n.TxID != "") {
		return // a former owner, who is fenced, or an end that is asked for again
	}
	if n.Over || n.TxID == "" {
		l.over(n, t)
		return
	}
	if t == nil || t.Epoch != n.Epoch {
		t = &txnNote{PID: n.PID, Epoch: n.Epoch, TxID: n.TxID, Partitions: make(map[string][]int32),
			Groups: make(map[string]map[string]map[int32]txnOffset)}
		l.open[n.PID] = t
	}
	for topic, ps := range n.Partitions {
		t.Partitions[topic] = union(t.Partitions[topic], ps)
	}
	for group, topics := range n.Groups {
		if t.Groups[group] == nil {
			t.Groups[group] = make(map[string]map[int32]txnOffset)
		}
		for topic, offsets := range topics {
			if t.Groups[group][topic] == nil {
				t.Groups[group][topic] = make(map[int32]txnOffset)
			}
			for p, o := range offsets {
				t.Groups[group][topic][p] = o
			}
		}
	}
	if n.Ending != nil {
		t.Ending = n.Ending
	}
	if n.Refused {
		t.Ending = nil
		if len(t.Partitions) == 0 && len(t.Groups) == 0 {
			delete(l.open, n.PID)
		}
	}
}

// over forgets a transaction, but for an end that raised the epoch: its producer
// may ask for it again, with the epoch that it knows.
func (l *txnLog) over(n, t *txnNote) {
	delete(l.open, n.PID)
	end := n.Ending
	if end == nil && t != nil && t.Epoch == n.Epoch {
		end = t.Ending
	}
	if n.TxID != "" && end != nil && end.Version >= txnEndRaises && len(l.open) < txnsMax {
		l.open[n.PID] = &txnNote{PID: n.PID, Epoch: n.Epoch, TxID: n.TxID, Ending: end, Over: true}
	}
}

// endedAt says whether a producer's transaction with this epoch has ended, also
// before a crash, and raised the epoch: who asks for that end again is no former
// owner.
func (l *txnLog) endedAt(producer int64, epoch int16) (commit, ok bool) {
	if l == nil {
		return false, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.open[producer]
	if t == nil || !t.Over || t.Epoch != epoch {
		return false, false
	}
	return t.Ending.Commit, true
}

func union(a, b []int32) []int32 {
	seen := make(map[int32]bool, len(a))
	for _, p := range a {
		seen[p] = true
	}
	for _, p := range b {
		if !seen[p] {
			seen[p] = true
			a = append(a, p)
		}
	}
	return a
}

// openTxnLog goes on with the log that recoverData left, for the transactions that
// have an owner. directory syncs dir; nil: nothing is synced.
func openTxnLog(dir string, directory func() error, open map[int64]*txnNote) (*txnLog, error) {
	l := &txnLog{path: filepath.Join(dir, txnLogName), directory: directory, max: txnLogBytesMax, open: open}
	if l.open == nil {
		l.open = make(map[int64]*txnNote)
	}
	return l, l.rewrite()
}

// rewrite makes the file anew. l.mu is held, or nobody else knows l.
func (l *txnLog) rewrite() error {
	raw := appendEntry(nil, []byte(logMark)) // so that it is never empty
	for _, t := range l.open {
		b, err := json.Marshal(t)
		if err != nil {
			return err
		}
		raw = appendEntry(raw, b)
	}
	tmp := l.path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(tmp, l.path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return errors.Join(err, f.Close())
	}
	if l.file != nil {
		_ = l.file.Close() // what it held is in the new one
	}
	l.file, l.size, l.kept, l.new = f, int64(len(raw)), int64(len(raw)), true
	return nil
}

// note writes an entry. On an error nothing was noted, and the request that it
// is about must not be acknowledged.
func (l *txnLog) note(n *txnNote) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := appendEntry(nil, raw)
	if l.file == nil {
		return os.ErrClosed
	}
	if _, err := l.file.Write(entry); err != nil {
		return errors.Join(err, l.file.Truncate(l.size))
	}
	if err := l.synced(); err != nil {
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(len(entry))
	if len(n.Deleting) == 0 {
		l.add(n)
	}
	if l.size > 2*l.kept+txnLogSlack {
		_ = l.rewrite() // the old one is as good, and longer
	}
	return nil
}

// synced syncs what was written. A file that was made anew says the same as the one before it;
// what is written behind that would be lost with its name. mu is held.
func (l *txnLog) synced() error {
	if l.directory == nil {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	if l.new {
		if err := l.directory(); err != nil {
			return err
		}
		l.new = false
	}
	return nil
}

// full says whether the open transactions of all clients take so much that none of
// them may grow: some have to end first.
func (l *txnLog) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := func() int64 { return l.size - logMarkBytes }
	if held() <= l.max || l.file == nil { // closed: note says so
		return false
	}
	if time.Since(l.made) > txnLogPause {
		_ = l.rewrite() // the old one is as good, and longer
		l.made = time.Now()
	}
	return held() > l.max
}

var errTxnsFull = errors.New("the open transactions hold too much: end some, or add less to them")

func (l *txnLog) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close() // every entry was written
	l.file = nil
}

// noteTxn notes what a request does to a transaction: before the client learns that
// it was done, and where it takes several steps, before it is begun. What can't be
// noted is refused.
func noteTxn(x *exchange) kmsg.Response {
	l := x.cluster().txnLog()
	if l == nil {
		return nil
	}
	switch x.req.(type) {
	case *kmsg.AddPartitionsToTxnRequest, *kmsg.AddOffsetsToTxnRequest, *kmsg.TxnOffsetCommitRequest:
		if l.full() {
			return x.session.refusal(x.req, errTxnsFull)
		}
	}
	switch req := x.req.(type) {
	case *kmsg.AddPartitionsToTxnRequest:
		noteAfter(x, func(resp *kmsg.AddPartitionsToTxnResponse) *txnNote { return notePartitions(req, resp) })
	case *kmsg.AddOffsetsToTxnRequest:
		noteAfter(x, func(resp *kmsg.AddOffsetsToTxnResponse) *txnNote {
			if resp.ErrorCode != 0 {
				return nil
			}
			return &txnNote{PID: req.ProducerID, Epoch: req.ProducerEpoch, TxID: req.TransactionalID,
				Groups: map[string]map[string]map[int32]txnOffset{req.Group: {}}}
		})
	case *kmsg.TxnOffsetCommitRequest:
		noteAfter(x, func(resp *kmsg.TxnOffsetCommitResponse) *txnNote { return noteOffsets(req, resp) })
	case *kmsg.InitProducerIDRequest:
		noteAfter(x, func(resp *kmsg.InitProducerIDResponse) *txnNote {
			if resp.ErrorCode != 0 || req.TransactionalID == nil || !l.knows(resp.ProducerID) {
				return nil
			}
			return &txnNote{PID: resp.ProducerID, Epoch: resp.ProducerEpoch, Over: true}
		})
	case *kmsg.EndTxnRequest:
		if req.ProducerID == noProducer {
			return nil // see disown: kfake refuses it
		}
		n := txnNote{PID: req.ProducerID, Epoch: req.ProducerEpoch, TxID: req.TransactionalID}
		ending := n
		ending.Ending = &txnEnd{Commit: req.Commit, Version: req.Version}
		if refusal := noteBefore(x, &ending); refusal != nil {
			return refusal
		}
		noteAfter(x, func(resp *kmsg.EndTxnResponse) *txnNote {
			n.Over, n.Refused = resp.ErrorCode == 0, resp.ErrorCode != 0
			return &n
		})
	case *kmsg.DeleteTopicsRequest:
		return noteBefore(x, &txnNote{Deleting: deleted(req)})
	}
	return nil
}

// txnLog is the log of transactions; the directory being loaded anew, it waits for
// the next. nil without a data directory.
func (c *Cluster) txnLog() *txnLog {
	c.live.RLock()
	defer c.live.RUnlock()
	return c.txns
}

func noteBefore(x *exchange, n *txnNote) kmsg.Response {
	if err := x.cluster().txnLog().note(n); err != nil {
		return x.session.refusal(x.req, err)
	}
	return nil
}

// noteAfter notes what take makes of kfake's response, if anything. Where that fails,
// kfake knows more than the disk: the directory is loaded anew.
func noteAfter[Resp kmsg.Response](x *exchange, take func(Resp) *txnNote) {
	x.after = append(x.after, func(resp kmsg.Response) (instead kmsg.Response) {
		n := take(resp.(Resp))
		if n == nil {
			return nil
		}
		err := x.cluster().txnLog().note(n)
		if err == nil {
			return nil
		}
		x.cluster().store.fail(err)
		return x.session.refusal(x.req, err)
	})
}

func (l *txnLog) knows(producer int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[producer] != nil
}

func deleted(req *kmsg.DeleteTopicsRequest) []string {
	names := append([]string(nil), req.TopicNames...)
	for _, t := range req.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		} else {
			names = append(names, base64.StdEncoding.EncodeToString(t.TopicID[:]))
		}
	}
	return names
}

func notePartitions(req *kmsg.AddPartitionsToTxnRequest, resp *kmsg.AddPartitionsToTxnResponse) *txnNote {
	n := &txnNote{PID: req.ProducerID, Epoch: req.ProducerEpoch, TxID: req.TransactionalID, Partitions: make(map[string][]int32)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				n.Partitions[t.Topic] = append(n.Partitions[t.Topic], p.Partition)
			}
		}
	}
	if len(n.Partitions) == 0 {
		return nil
	}
	return n
}

func noteOffsets(req *kmsg.TxnOffsetCommitRequest, resp *kmsg.TxnOffsetCommitResponse) *txnNote {
	type named struct { // ids, too: a topic may be named by the one that it had
		place
		id [16]byte
	}
	taken := make(map[named]bool)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				taken[named{place{t.Topic, p.Partition}, t.TopicID}] = true
			}
		}
	}
	topics := make(map[string]map[int32]txnOffset)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if !taken[named{place{t.Topic, p.Partition}, t.TopicID}] {
				continue
			}
			if topics[t.Topic] == nil {
				topics[t.Topic] = make(map[int32]txnOffset)
			}
			topics[t.Topic][p.Partition] = txnOffset{p.Offset, p.LeaderEpoch, p.Metadata}
		}
	}
	if len(topics) == 0 {
		return nil
	}
	return &txnNote{PID: req.ProducerID, Epoch: req.ProducerEpoch, TxID: req.TransactionalID,
		Groups: map[string]map[string]map[int32]txnOffset{req.Group: topics}}
}
