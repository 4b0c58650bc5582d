package embedded

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The states of a transaction that clients are told of.
const (
	txnEmpty    = "Empty" // also what kfake calls every transaction that is over
	txnOngoing  = "Ongoing"
	txnCommited = "CompleteCommit"
	txnAborted  = "CompleteAbort"
)

// txnStates are all that Apache Kafka knows; some are too short to be seen here.
var txnStates = []string{
	txnEmpty, txnOngoing, "PrepareCommit", "PrepareAbort", txnCommited, txnAborted, "Dead", "PrepareEpochFence",
}

// transactionsKept bounds either half of transactions.
const transactionsKept = 10_000

// transactions remembers of transactional ids what kfake forgets: how the last
// transaction ended, and whether an older epoch is its producer's own. Of what is
// not here (beyond the bound) kfake's word holds.
//
// Concurrency: any goroutine.
type transactions struct {
	mu         sync.Mutex
	young, old map[string]lastTransaction // guarded by mu; young becomes old when it is full
	// before is how the last process's transactions ended, of ids that were not
	// seen since. At most 2 * transactionsKept; guarded by mu.
	before map[string]string
}

// lastTransaction is what was last seen of a transactional id.
type lastTransaction struct {
	state string // once kfake holds none open; a transaction that nobody ended was aborted
	open  bool   // since it began, nobody ended it
	// epoch is the one with which the producer was last served. Where the next one
	// is current, the producer did not learn of it. noEpoch: another took over.
	epoch   int16
	started int64 // milliseconds since 1970; notStarted
	// groups are those that were added to the open transaction with epoch.
	groups map[string]struct{}
}

const (
	noEpoch    = -1
	noProducer = -1
	notStarted = -1
)

func (t *transactions) of(id string) (lastTransaction, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(id)
}

func (t *transactions) find(id string) (lastTransaction, bool) {
	if l, ok := t.young[id]; ok {
		return l, true
	}
	l, ok := t.old[id]
	return l, ok
}

func (t *transactions) change(id string, f func(*lastTransaction)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.find(id)
	if !ok {
		l = lastTransaction{state: txnEmpty, epoch: noEpoch, started: notStarted}
	}
	f(&l)
	if len(t.young) >= transactionsKept || t.young == nil {
		t.old, t.young = t.young, make(map[string]lastTransaction)
	}
	t.young[id] = l
	delete(t.before, id)
}

// opened notes that a producer was given a new epoch; own is the one that it
// named as its own before, noEpoch if it named none.
func (t *transactions) opened(id string, own int16) {
	t.change(id, func(l *lastTransaction) { *l = lastTransaction{state: txnEmpty, epoch: own, started: notStarted} })
}

// began notes that a transaction is open.
func (t *transactions) began(id string, epoch int16) {
	t.change(id, func(l *lastTransaction) {
		if !l.open {
			l.started = time.Now().UnixMilli()
		}
		if l.epoch != epoch {
			l.groups = nil
		}
		l.state, l.open, l.epoch = txnAborted, true, epoch
	})
}

// added is began by a group whose offsets the transaction will commit.
func (t *transactions) added(id string, epoch int16, group string) {
	t.began(id, epoch)
	t.change(id, func(l *lastTransaction) {
		if l.groups == nil {
			l.groups = make(map[string]struct{})
		}
		l.groups[group] = struct{}{}
	})
}

// hasGroup says that a group was added to the open transaction.
func (t *transactions) hasGroup(id string, epoch int16, group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.find(id)
	if !ok || !l.open || l.epoch != epoch {
		return false
	}
	_, has := l.groups[group]
	return has
}

// again forgets the groups of all: kfake is run anew.
func (t *transactions) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, half := range []map[string]lastTransaction{t.young, t.old} {
		for id, l := range half {
			l.groups = nil
			half[id] = l
		}
	}
}

// ending forgets the groups before kfake is asked to end a transaction: its answer may be
// lost.
func (t *transactions) ending(id string) {
	if _, seen := t.of(id); seen {
		t.change(id, func(l *lastTransaction) { l.groups = nil })
	}
}

func (t *transactions) ended(id string, epoch int16, commit bool) {
	t.change(id, func(l *lastTransaction) {
		l.state, l.open, l.epoch, l.groups = txnAborted, false, epoch, nil
		if commit {
			l.state = txnCommited
		}
	})
}

// seen is what a transaction that kfake holds in state is in for clients, and
// when it began.
func (t *transactions) seen(id, state string, started int64) (string, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.find(id)
	before, was := t.before[id]
	switch {
	case state == txnOngoing || !ok && !was:
		return state, started
	case !ok:
		return before, started
	}
	return l.state, l.started
}

// producerOf asks kfake for the producer of a transactional id; nil if there is
// none.
func (x *exchange) producerOf(id string) (*kmsg.DescribeTransactionsResponseTransactionState, error) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	resp, err := x.ask(req)
	if err != nil {
		return nil, err
	}
	p := &resp.(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
	if p.ErrorCode != 0 {
		return nil, nil
	}
	return p, nil
}

// disown hides a producer that is not the transactional id's own from kfake,
// which looks for the producer alone. It returns the id's own.
func (x *exchange) disown(id string, producer *int64) *kmsg.DescribeTransactionsResponseTransactionState {
	p, err := x.producerOf(id)
	if err != nil {
		x.fail(err)
		return nil
	}
	if p == nil || p.ProducerID != *producer {
		*producer, x.changed = noProducer, true
	}
	return p
}

// fencedBefore is the error of a producer whose epoch is over, in a version of an
// API that knows PRODUCER_FENCED from the version since on.
func fencedBefore(since, version, code int16) int16 {
	if code == kerr.ProducerFenced.Code && version < since {
		return kerr.InvalidProducerEpoch.Code
	}
	return code
}

// The first versions that know PRODUCER_FENCED (KIP-588).
const (
	addPartitionsFences = 2
	addOffsetsFences    = 2
	endFences           = 2
	initFences          = 4
)
