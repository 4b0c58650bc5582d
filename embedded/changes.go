package embedded

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
	"kring/reqchan"
)

// change says how an API writes to disk.
type change struct {
	// code is what clients are told when it can't be written. Where a group's or
	// a transaction's coordinator is asked, that is NOT_COORDINATOR, as Apache
	// Kafka translates it (CoordinatorOperationExceptionHelper,
	// TransactionStateManager): clients retry that, and take
	// KAFKA_STORAGE_ERROR there for fatal.
	code int16
	// shrinks: it frees space, and is served while the disk is nearly full.
	shrinks bool
}

var (
	grows       = change{code: kerr.KafkaStorageError.Code}
	shrinks     = change{code: kerr.KafkaStorageError.Code, shrinks: true}
	coordinated = change{code: kerr.NotCoordinator.Code}
	leaves      = change{code: kerr.NotCoordinator.Code, shrinks: true}
)

// changes are the APIs with which kfake writes to disk. Metadata, which creates
// topics, is not among them: see createMissing.
var changes = map[kmsg.Key]change{
	kmsg.Produce:                   grows,
	kmsg.OffsetCommit:              grows,
	kmsg.CreateTopics:              grows,
	kmsg.CreatePartitions:          grows,
	kmsg.CreateACLs:                grows,
	kmsg.DeleteACLs:                grows,
	kmsg.AlterConfigs:              grows,
	kmsg.IncrementalAlterConfigs:   grows,
	kmsg.AlterClientQuotas:         grows,
	kmsg.AlterUserSCRAMCredentials: grows,
	kmsg.WriteTxnMarkers:           grows,
	kmsg.AlterShareGroupOffsets:    grows,
	kmsg.ShareAcknowledge:          grows,

	kmsg.DeleteTopics:            shrinks,
	kmsg.DeleteRecords:           shrinks,
	kmsg.DeleteGroups:            shrinks,
	kmsg.OffsetDelete:            shrinks,
	kmsg.DeleteShareGroupOffsets: shrinks,

	kmsg.JoinGroup:          coordinated,
	kmsg.SyncGroup:          coordinated,
	kmsg.InitProducerID:     coordinated,
	kmsg.AddPartitionsToTxn: coordinated,
	kmsg.AddOffsetsToTxn:    coordinated,
	kmsg.EndTxn:             coordinated,
	kmsg.TxnOffsetCommit:    coordinated,

	// Most write nothing, and a member that is not heard falls out of its group.
	kmsg.ConsumerGroupHeartbeat: leaves,
	kmsg.LeaveGroup:             leaves,
}

var errWriteFailed = errors.New("a write to the data directory failed")

// begin admits a request that writes to disk; nil for one that does not. On an
// error the request is to be refused.
func (s *session) begin(q kafka.APIRequest) (*writing, error) {
	store := s.cluster.store
	if store.dir == "" {
		return nil, s.cluster.memoryFor(q)
	}
	c, ok := changes[kmsg.Key(q.Header.Key)]
	if !ok {
		return nil, nil
	}
	w, err := store.begin(int64(len(q.Raw.Payload())), c.shrinks)
	if err != nil || !s.cluster.cfg.SyncWrites {
		return w, err
	}
	req, err := q.Decode()
	if err == nil {
		w.sync, err = s.cluster.syncs.begin(req)
	}
	if err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// write is ask for a request of our own that changes what is on disk, beside one
// that need not (ShareFetch, which waits). Without an error the change was kept.
func (s *session) write(req kmsg.Request) (kmsg.Response, error) {
	c := s.cluster
	if c.store.dir == "" {
		return s.ask(req)
	}
	w, err := c.store.begin(0, true)
	if err != nil {
		return nil, err
	}
	defer w.end()
	if c.cfg.SyncWrites {
		if w.sync, err = c.syncs.begin(req); err != nil {
			return nil, err
		}
	}
	resp, err := s.ask(req)
	if err != nil {
		return nil, err
	}
	return resp, w.kept()
}

// unkept refuses a request after kfake has served it, if what it changed is not
// sure to be on disk.
func (s *session) unkept(q kafka.APIRequest) (refused bool, err error) {
	if s.writing == nil || !s.asked {
		return false, nil // kfake has done nothing since
	}
	s.asked = false
	if err := s.writing.kept(); err != nil {
		return true, s.refuse(q, err)
	}
	return false, nil
}

// refuse answers a request that can't be kept with an error in every element.
func (s *session) refuse(q kafka.APIRequest, cause error) error {
	req, err := q.Decode()
	if err != nil {
		return err
	}
	if produce, ok := req.(*kmsg.ProduceRequest); ok && produce.Acks == 0 {
		q.CloseConnection(reqchan.HandlerClosed)
		return nil
	}
	q.Respond(s.refusal(req, cause))
	return nil
}

// refusal is the answer to a request that can't be kept.
func (s *session) refusal(req kmsg.Request, cause error) kmsg.Response {
	code := changes[kmsg.Key(req.Key())].code
	if init, ok := req.(*kmsg.InitProducerIDRequest); ok && init.TransactionalID == nil {
		// No coordinator was asked: clients would look for that of no
		// transactional id. Apache Kafka answers this when it has no ids.
		code = kerr.CoordinatorLoadInProgress.Code
	}
	return refusalOf(req, code, cause.Error())
}
