package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readTxns reads txns.log: the transactions that go on, and the topics whose
// deletion may have been interrupted.
func (m *recovery) readTxns() error {
	info, err := os.Stat(filepath.Join(m.dir, txnLogName))
	fault := ""
	switch {
	case errors.Is(err, fs.ErrNotExist) && m.manifest.Version > 0: // without one the directory is of an older version
		fault = "is missing"
	case err == nil && info.Size() == 0 && m.manifest.Files[txnLogName].Bytes > 0:
		fault = "is empty, and never was"
	}
	if fault != "" {
		if err := m.missing(txnLogName, fault); err != nil {
			return err
		}
		if err := m.changed(txnLogName); err != nil {
			return err
		}
	}
	entries, err := m.recoverLog(txnLogName)
	if err != nil {
		return err
	}
	l := &txnLog{open: make(map[int64]*txnNote)}
	for _, raw := range entries {
		n := new(txnNote)
		if json.Unmarshal(raw, n) != nil {
			continue // its checksum holds: no version of ours wrote it
		}
		if len(n.Deleting) == 0 {
			l.add(n)
			continue
		}
		for _, topic := range n.Deleting {
			m.deleting[topic] = true
		}
	}
	m.txns = l.open
	return nil
}

// ownedTxns leaves out the transactions whose producer has got a new epoch:
// kfake aborted them.
func (m *recovery) ownedTxns() map[int64]*txnNote {
	for id, t := range m.txns {
		epoch := t.Epoch
		if t.Over {
			epoch++ // its end raised it
		}
		if known, ok := m.pids[id]; !ok || known.TxID != t.TxID || known.Epoch != epoch {
			delete(m.txns, id)
		}
	}
	return m.txns
}

// resumeTxns tells kfake, as their clients had, what the open transactions
// have besides their records. It ends those whose end a crash interrupted. The
// times of the transactions begin anew. What can't be told, because its topic was deleted
// since, takes nothing else with it.
func (c *Cluster) resumeTxns() error {
	if len(c.resume) == 0 {
		return nil
	}
	pipe, err := c.listener.dial(netip.AddrPort{}) // not c.dial: reload holds live
	if err != nil {
		return err
	}
	s := ownSession(c, pipe)
	defer s.end()
	for _, t := range c.resume {
		if t.Over {
			continue
		}
		for _, req := range t.requests(c.exists) {
			resp, err := s.ask(req)
			if err != nil {
				return fmt.Errorf("resume transaction %q: %w", t.TxID, err)
			}
			if code := txnError(resp); code != 0 {
				// Its owner learns of it by what it asks next.
				c.log.Warn("a transaction does not go on as it was", "transactional_id", t.TxID, "error", kerr.ErrorForCode(code))
			}
		}
		if t.Ending != nil {
			if err := c.txns.note(&txnNote{PID: t.PID, Epoch: t.Epoch, TxID: t.TxID, Over: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// exists says whether kfake has a partition. It is for who holds live.
func (c *Cluster) exists(topic string, partition int32) bool {
	return c.kfake.PartitionInfo(topic, partition) != nil
}

// requests are those that bring kfake where the transaction was. Partitions that are no
// more are left out: with one of them kfake adds none.
func (n *txnNote) requests(exists func(topic string, partition int32) bool) []kmsg.Request {
	var all []kmsg.Request
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch = 3, n.TxID, n.PID, n.Epoch
	for topic, ps := range n.Partitions {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic = topic
		for _, p := range ps {
			if exists(topic, p) {
				t.Partitions = append(t.Partitions, p)
			}
		}
		if len(t.Partitions) > 0 {
			add.Topics = append(add.Topics, t)
		}
	}
	if len(add.Topics) > 0 {
		all = append(all, add)
	}
	for group, topics := range n.Groups {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = 3, n.TxID, n.PID, n.Epoch, group
		all = append(all, add)
		if req := n.offsets(group, topics, exists); len(req.Topics) > 0 {
			all = append(all, req)
		}
	}
	if n.Ending != nil {
		req := kmsg.NewPtrEndTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = n.Ending.Version, n.TxID, n.PID, n.Epoch, n.Ending.Commit
		all = append(all, req)
	}
	return all
}

// offsets leaves out who of the group sent them: kfake checked it then, and
// members do not outlive a crash.
func (n *txnNote) offsets(group string, topics map[string]map[int32]txnOffset, exists func(string, int32) bool) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = 3, n.TxID, group, n.PID, n.Epoch, -1
	for topic, offsets := range topics {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic = topic
		for number, o := range offsets {
			if !exists(topic, number) {
				continue
			}
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = number, o.Offset, o.LeaderEpoch, o.Metadata
			t.Partitions = append(t.Partitions, p)
		}
		if len(t.Partitions) > 0 {
			req.Topics = append(req.Topics, t)
		}
	}
	return req
}

// txnError is the first error in a response to one of requests.
func txnError(resp kmsg.Response) int16 {
	switch resp := resp.(type) {
	case *kmsg.AddPartitionsToTxnResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return p.ErrorCode
				}
			}
		}
	case *kmsg.AddOffsetsToTxnResponse:
		return resp.ErrorCode
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return p.ErrorCode
				}
			}
		}
	case *kmsg.EndTxnResponse:
		return resp.ErrorCode
	}
	return 0
}
