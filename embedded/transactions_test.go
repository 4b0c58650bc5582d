package embedded

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const txnTopic = "in-transactions"

// producer is a transactional id and who produces with it.
type producer struct {
	transaction string
	id          int64
	epoch       int16
}

func naming(p producer, timeout time.Duration) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.transaction, int32(timeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = p.id, p.epoch
	return req
}

// initialized is a new producer of a transactional id.
func initialized(t *testing.T, c *Cluster, transaction string) producer {
	t.Helper()
	return initializedFor(t, c, transaction, time.Minute)
}

func initializedFor(t *testing.T, c *Cluster, transaction string, timeout time.Duration) producer {
	t.Helper()
	resp := answer[*kmsg.InitProducerIDResponse](t, c, 4, naming(producer{transaction, noProducer, noEpoch}, timeout))
	if resp.ErrorCode != 0 {
		t.Fatalf("InitProducerID: error %d", resp.ErrorCode)
	}
	return producer{transaction, resp.ProducerID, resp.ProducerEpoch}
}

func addPartition(t *testing.T, c *Cluster, version int16, p producer) int16 {
	t.Helper()
	if version >= addPartitionsMany {
		return added(t, c, version, p, false, 0)[0]
	}
	req, topic := kmsg.NewPtrAddPartitionsToTxnRequest(), kmsg.NewAddPartitionsToTxnRequestTopic()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.transaction, p.id, p.epoch
	topic.Topic, topic.Partitions = txnTopic, []int32{0}
	req.Topics = append(req.Topics, topic)
	return answer[*kmsg.AddPartitionsToTxnResponse](t, c, version, req).Topics[0].Partitions[0].ErrorCode
}

// added are the errors of the partitions of a transaction, in a version of
// AddPartitionsToTxn that has several.
func added(t *testing.T, c *Cluster, version int16, p producer, verify bool, partitions ...int32) (codes []int16) {
	t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	of, topic := kmsg.NewAddPartitionsToTxnRequestTransaction(), kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	of.TransactionalID, of.ProducerID, of.ProducerEpoch, of.VerifyOnly = p.transaction, p.id, p.epoch, verify
	topic.Topic, topic.Partitions = txnTopic, partitions
	of.Topics = append(of.Topics, topic)
	req.Transactions = append(req.Transactions, of)
	resp := answer[*kmsg.AddPartitionsToTxnResponse](t, c, version, req)
	if len(resp.Transactions) != 1 || resp.Transactions[0].TransactionalID != p.transaction {
		t.Fatalf("v%d: %+v", version, resp)
	}
	for _, p := range resp.Transactions[0].Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

func addGroup(t *testing.T, c *Cluster, version int16, p producer) int16 {
	t.Helper()
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.transaction, p.id, p.epoch, "group"
	return answer[*kmsg.AddOffsetsToTxnResponse](t, c, version, req).ErrorCode
}

func commitOffset(t *testing.T, c *Cluster, version int16, p producer) int16 {
	t.Helper()
	req, topic := kmsg.NewPtrTxnOffsetCommitRequest(), kmsg.NewTxnOffsetCommitRequestTopic()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.transaction, p.id, p.epoch, "group"
	topic.Topic, topic.TopicID = txnTopic, c.kfake.TopicInfo(txnTopic).TopicID
	topic.Partitions = append(topic.Partitions, kmsg.NewTxnOffsetCommitRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	return answer[*kmsg.TxnOffsetCommitResponse](t, c, version, req).Topics[0].Partitions[0].ErrorCode
}

func end(t *testing.T, c *Cluster, version int16, p producer, commit bool) int16 {
	t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.transaction, p.id, p.epoch, commit
	return answer[*kmsg.EndTxnResponse](t, c, version, req).ErrorCode
}

func produceIn(t *testing.T, c *Cluster, version int16, p producer, sequence int32) int16 {
	t.Helper()
	req := producing(&p.transaction, txnTopic, batchOf(p.id, p.epoch, sequence, true))
	if version >= produceNamesIDs {
		req.Topics[0].TopicID = c.kfake.TopicInfo(txnTopic).TopicID
	}
	return answer[*kmsg.ProduceResponse](t, c, version, req).Topics[0].Partitions[0].ErrorCode
}

func describedTxn(t *testing.T, c *Cluster, transaction string) kmsg.DescribeTransactionsResponseTransactionState {
	t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{transaction}
	return answer[*kmsg.DescribeTransactionsResponse](t, c, 0, req).TransactionStates[0]
}

func openForTransactions(t *testing.T) *Cluster {
	t.Helper()
	return open(t, Config{Seed: []Topic{{txnTopic, 1}}})
}

// Where a client names a producer for a transactional id that nobody has used,
// Apache Kafka begins anew: @platformatic/kafka names id 0 and epoch 0.
func TestANewTransactionalIDBeginsAnewWhateverIsNamed(t *testing.T) {
	c := openForTransactions(t)
	for _, version := range versionsFrom(t, c, kmsg.InitProducerID, 3) {
		for _, named := range []producer{{"", 0, 0}, {"", 1 << 40, 7}} {
			named.transaction = fmt.Sprintf("new-%d-%d", version, named.id)
			resp := answer[*kmsg.InitProducerIDResponse](t, c, version, naming(named, time.Minute))
			if resp.ErrorCode != 0 || resp.ProducerID < 0 || resp.ProducerEpoch != 0 {
				t.Errorf("v%d: %+v", version, resp)
			}
		}
		half := producer{fmt.Sprintf("half-%d", version), noProducer, 3}
		if resp := answer[*kmsg.InitProducerIDResponse](t, c, version, naming(half, time.Minute)); resp.ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("v%d: half a producer: %+v", version, resp)
		}
	}
}

// A producer that another has taken the place of does not come back by naming
// itself; one whose answer was lost gets that answer, and no further epoch.
func TestOnlyItsOwnLastEpochMayBeNamed(t *testing.T) {
	c := openForTransactions(t)
	again := func(version int16, p producer) *kmsg.InitProducerIDResponse {
		return answer[*kmsg.InitProducerIDResponse](t, c, version, naming(p, time.Minute))
	}
	first := initialized(t, c, "taken-over")
	for range 2 { // the second time, the answer to the first was lost
		if resp := again(4, first); resp.ErrorCode != 0 || resp.ProducerID != first.id || resp.ProducerEpoch != first.epoch+1 {
			t.Errorf("named by its own producer: %+v", resp)
		}
	}
	second := initialized(t, c, "taken-over")
	for version, code := range map[int16]int16{3: kerr.InvalidProducerEpoch.Code, 4: kerr.ProducerFenced.Code, 5: kerr.ProducerFenced.Code} {
		for _, stranger := range []producer{first, {"taken-over", second.id, second.epoch - 1}, {"taken-over", second.id, second.epoch + 1}, {"taken-over", second.id + 1, 0}} {
			if resp := again(version, stranger); resp.ErrorCode != code || resp.ProducerID != noProducer || resp.ProducerEpoch != noEpoch {
				t.Errorf("v%d: named by %+v: %+v", version, stranger, resp)
			}
		}
	}
	if got := describedTxn(t, c, "taken-over"); got.ProducerEpoch != second.epoch {
		t.Errorf("the epoch is %d, was %d", got.ProducerEpoch, second.epoch)
	}
}

// PRODUCER_FENCED is an error of the later versions alone: older clients know
// INVALID_PRODUCER_EPOCH.
func TestAFencedProducerIsToldInWordsThatItKnows(t *testing.T) {
	c := openForTransactions(t)
	old := initialized(t, c, "fenced")
	initialized(t, c, "fenced")
	invalid, fenced := kerr.InvalidProducerEpoch.Code, kerr.ProducerFenced.Code
	never := int16(1 << 14)
	for _, api := range []struct {
		key         kmsg.Key
		fencedSince int16
		ask         func(version int16) int16
	}{
		{kmsg.AddPartitionsToTxn, addPartitionsFences, func(v int16) int16 { return addPartition(t, c, v, old) }},
		{kmsg.AddOffsetsToTxn, addOffsetsFences, func(v int16) int16 { return addGroup(t, c, v, old) }},
		{kmsg.EndTxn, endFences, func(v int16) int16 { return end(t, c, v, old, true) }},
		{kmsg.EndTxn, endFences, func(v int16) int16 { return end(t, c, v, old, false) }},
		{kmsg.TxnOffsetCommit, never, func(v int16) int16 { return commitOffset(t, c, v, old) }},
		{kmsg.Produce, never, func(v int16) int16 { return produceIn(t, c, v, old, 0) }},
	} {
		for _, version := range versionsFrom(t, c, api.key, 0) {
			want := invalid
			if version >= api.fencedSince {
				want = fenced
			}
			if got := api.ask(version); got != want {
				t.Errorf("%s v%d: error %d, want %d", api.key.Name(), version, got, want)
			}
		}
	}
	if got := describedTxn(t, c, "fenced"); got.State != txnEmpty {
		t.Errorf("a fenced producer began a transaction: %s", got.State)
	}
}

func TestABatchOutsideOfItsTransactionIsAbortable(t *testing.T) {
	c := openForTransactions(t)
	p := initialized(t, c, "not-begun")
	for _, version := range versionsFrom(t, c, kmsg.Produce, 3) {
		if version >= produceBegins {
			break // begins it
		}
		want := kerr.InvalidTxnState.Code
		if version >= produceAborts {
			want = kerr.TransactionAbortable.Code
		}
		if got := produceIn(t, c, version, p, 0); got != want {
			t.Errorf("v%d: error %d, want %d", version, got, want)
		}
	}
	stranger := producer{p.transaction, p.id + 1, p.epoch}
	for _, version := range versionsFrom(t, c, kmsg.Produce, 3) {
		if got := produceIn(t, c, version, stranger, 0); got != kerr.InvalidProducerIDMapping.Code {
			t.Errorf("v%d: another's batch: error %d", version, got)
		}
		req := producing(nil, txnTopic, batchOf(p.id, p.epoch, 0, true))
		req.Topics[0].TopicID = c.kfake.TopicInfo(txnTopic).TopicID
		got := answer[*kmsg.ProduceResponse](t, c, version, req).Topics[0].Partitions[0].ErrorCode
		if got != kerr.TransactionalIDAuthorizationFailed.Code {
			t.Errorf("v%d: without a transactional id: error %d", version, got)
		}
	}
	if end := c.kfake.PartitionInfo(txnTopic, 0).HighWatermark; end != 0 {
		t.Errorf("%d records were written", end)
	}
}

// The producer alone does not say whose transaction it is.
func TestATransactionIsFoundByItsID(t *testing.T) {
	c := openForTransactions(t)
	one, two := initialized(t, c, "one"), initialized(t, c, "two")
	crossed := producer{"two", one.id, one.epoch}
	for name, got := range map[string]int16{
		"AddPartitionsToTxn": addPartition(t, c, 3, crossed),
		"AddOffsetsToTxn":    addGroup(t, c, 3, crossed),
		"EndTxn":             end(t, c, 3, crossed, false),
	} {
		if got != kerr.InvalidProducerIDMapping.Code {
			t.Errorf("%s: error %d", name, got)
		}
	}
	for name, got := range map[string]int16{
		"AddOffsetsToTxn": addGroup(t, c, 3, producer{"", two.id, two.epoch}),
		"EndTxn":          end(t, c, 3, producer{"", two.id, two.epoch}, false),
	} {
		if got != kerr.InvalidRequest.Code {
			t.Errorf("%s without an id: error %d", name, got)
		}
	}
	if got := describedTxn(t, c, "one"); got.State != txnEmpty {
		t.Errorf("another began the transaction: %s", got.State)
	}
}

// @platformatic/kafka adds partitions by version 5, which is for brokers.
func TestPartitionsAreAddedInEveryVersion(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{txnTopic, 2}}})
	unknown, abortable := kerr.UnknownTopicOrPartition.Code, kerr.TransactionAbortable.Code
	for _, version := range versionsFrom(t, c, kmsg.AddPartitionsToTxn, 0) {
		p := initialized(t, c, fmt.Sprintf("added-%d", version))
		if code := addPartition(t, c, version, p); code != 0 {
			t.Fatalf("v%d: error %d", version, code)
		}
		if code := produceIn(t, c, 11, p, 0); code != 0 {
			t.Errorf("v%d: Produce: error %d", version, code)
		}
		if code := addPartition(t, c, version, producer{"", p.id, p.epoch}); code != kerr.InvalidRequest.Code {
			t.Errorf("v%d without an id: error %d", version, code)
		}
		if version < addPartitionsMany {
			continue
		}
		for _, ask := range []struct {
			of         producer
			partitions []int32
			want       []int16
		}{
			{p, []int32{0, 1}, []int16{0, abortable}},
			{p, []int32{0, 7}, []int16{kerr.OperationNotAttempted.Code, unknown}},
			{producer{p.transaction, p.id + 1, p.epoch}, []int32{0}, []int16{kerr.InvalidProducerIDMapping.Code}},
			{producer{p.transaction, p.id, p.epoch + 1}, []int32{0}, []int16{kerr.ProducerFenced.Code}},
			{producer{"", p.id, p.epoch}, []int32{0}, []int16{kerr.InvalidRequest.Code}},
		} {
			if got := added(t, c, version, ask.of, true, ask.partitions...); !slices.Equal(got, ask.want) {
				t.Errorf("v%d, %+v: verified %v", version, ask, got)
			}
		}
		if code := end(t, c, 3, p, true); code != 0 {
			t.Errorf("EndTxn: error %d", code)
		}
	}
}

func TestATransactionSaysHowItEnded(t *testing.T) {
	c := openForTransactions(t)
	for _, commit := range []bool{true, false} {
		for _, version := range versionsFrom(t, c, kmsg.EndTxn, 0) {
			p := initialized(t, c, fmt.Sprintf("ended-%v-%d", commit, version))
			if code := end(t, c, version, p, commit); version < endsEmpty && code != kerr.InvalidTxnState.Code {
				t.Errorf("v%d: an empty transaction was ended: error %d", version, code)
			}
			p = initialized(t, c, p.transaction)
			if code := addPartition(t, c, 3, p); code != 0 {
				t.Fatalf("AddPartitionsToTxn: error %d", code)
			}
			open := describedTxn(t, c, p.transaction)
			if open.State != txnOngoing {
				t.Fatalf("%s, not %s", open.State, txnOngoing)
			}
			if code := end(t, c, version, p, commit); code != 0 {
				t.Fatalf("EndTxn v%d: error %d", version, code)
			}
			want := map[bool]string{true: txnCommited, false: txnAborted}[commit]
			got := describedTxn(t, c, p.transaction)
			if got.State != want || got.StartTimestamp < open.StartTimestamp {
				t.Errorf("v%d, commit %v: %+v", version, commit, got)
			}
			if code := end(t, c, version, p, commit); code != 0 {
				t.Errorf("v%d, commit %v: asked again: error %d", version, commit, code)
			}
			if got := initialized(t, c, p.transaction); describedTxn(t, c, got.transaction).State != txnEmpty {
				t.Errorf("v%d, commit %v: not empty after the next producer came", version, commit)
			}
		}
	}
}

// A transaction that nobody ended is aborted, and its producer may go on with the
// epoch that it had.
func TestATransactionThatTookTooLongWasAborted(t *testing.T) {
	c := openForTransactions(t)
	p := initializedFor(t, c, "slow", 50*time.Millisecond)
	if code := produceIn(t, c, produceBegins, p, 0); code != 0 {
		t.Fatalf("Produce: error %d", code)
	}
	for end := time.Now().Add(deadline); describedTxn(t, c, "slow").State == txnOngoing; {
		if time.Now().After(end) {
			t.Fatal("still open")
		}
	}
	if got := describedTxn(t, c, "slow"); got.State != txnAborted || got.ProducerEpoch != p.epoch+1 {
		t.Errorf("%+v", got)
	}
	resp := answer[*kmsg.InitProducerIDResponse](t, c, 4, naming(p, time.Minute))
	if resp.ErrorCode != 0 || resp.ProducerEpoch != p.epoch+1 {
		t.Errorf("its producer was answered with %+v", resp)
	}
}

func listedTxn(t *testing.T, c *Cluster, change func(*kmsg.ListTransactionsRequest)) (ids, unknown []string, code int16) {
	t.Helper()
	req := kmsg.NewPtrListTransactionsRequest()
	change(req)
	resp := answer[*kmsg.ListTransactionsResponse](t, c, 2, req)
	for _, s := range resp.TransactionStates {
		ids = append(ids, s.TransactionalID+" "+s.TransactionState)
	}
	slices.Sort(ids)
	return ids, resp.UnknownStateFilters, resp.ErrorCode
}

func TestTransactionsAreListedByHowTheyEnded(t *testing.T) {
	c := openForTransactions(t)
	for id, commit := range map[string]bool{"committed": true, "aborted": false} {
		p := initialized(t, c, id)
		addPartition(t, c, 3, p)
		if code := end(t, c, 3, p, commit); code != 0 {
			t.Fatalf("EndTxn: error %d", code)
		}
	}
	initialized(t, c, "empty")
	addGroup(t, c, 3, initialized(t, c, "ongoing"))
	all := []string{"aborted CompleteAbort", "committed CompleteCommit", "empty Empty", "ongoing Ongoing"}
	for _, ask := range []struct {
		states  []string
		pattern *string
		longer  int64
		want    []string
		unknown []string
		code    int16
	}{
		{longer: -1, want: all},
		{longer: -1, states: []string{txnCommited, txnEmpty}, want: []string{all[1], all[2]}},
		{longer: -1, states: []string{txnAborted, "nonsense", "ongoing"}, want: all[:1], unknown: []string{"nonsense", "ongoing"}},
		{longer: -1, states: []string{"Dead"}},
		{longer: time.Hour.Milliseconds(), want: all[2:3]}, // Apache Kafka lists what never began
		{longer: -1, pattern: kmsg.StringPtr(""), want: all},
		{longer: -1, pattern: kmsg.StringPtr("commit")}, // the whole id is to match
		{longer: -1, pattern: kmsg.StringPtr("commit.*|em..y"), want: all[1:3]},
		{longer: -1, pattern: kmsg.StringPtr("a)(b"), code: kerr.InvalidRegularExpression.Code},
	} {
		got, unknown, code := listedTxn(t, c, func(req *kmsg.ListTransactionsRequest) {
			req.StateFilters, req.TransactionalIDPattern, req.DurationFilterMillis = ask.states, ask.pattern, ask.longer
		})
		if !slices.Equal(got, ask.want) || !slices.Equal(unknown, ask.unknown) || code != ask.code {
			t.Errorf("%+v: got %v, unknown %v, error %d", ask, got, unknown, code)
		}
	}
}

func TestWhatIsRememberedOfTransactionsIsBounded(t *testing.T) {
	var kept transactions
	for i := range 5 * transactionsKept {
		kept.opened(fmt.Sprint(i), noEpoch)
	}
	if n := len(kept.young) + len(kept.old); n > 2*transactionsKept {
		t.Errorf("%d are kept", n)
	}
	if _, ok := kept.of(fmt.Sprint(5*transactionsKept - 1)); !ok {
		t.Error("the last one is forgotten")
	}
}
