package clients

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"kring/internal/clients/broker"
	"kring/internal/clients/corpus"
)

func TestMain(m *testing.M) { os.Exit(broker.Main(m)) }

// frameBytesMax is what topics and clients are told to allow: the largest
// record, its batch and some room.
const frameBytesMax = 4 << 20

// acks is how many replicas have to have a record before it is acknowledged.
type acks int

const (
	acksAll  acks = -1
	acksNone acks = 0
	acksOne  acks = 1
)

// batch is what one producer writes: the records [from, to) of a corpus.
type batch struct {
	topic      string
	corpus     corpus.Corpus
	from, to   int
	codec      string
	acks       acks
	idempotent bool
}

func (b batch) String() string {
	kind := ""
	if b.idempotent {
		kind = ", idempotent"
	}
	return fmt.Sprintf("records %d to %d, %s, acks %d%s", b.from, b.to, b.codec, b.acks, kind)
}

// deliver takes one record that was read and says whether to go on.
type deliver func(partition int, key, value []byte) bool

// member is one member of a consumer group.
type member struct {
	// leave commits what was delivered, leaves the group and returns when
	// nothing will be delivered any more.
	leave func() error
}

// client is one library, driven the way its own documentation recommends.
type client interface {
	name() string
	// codecs are the compressions that the library has.
	codecs() []string
	// idempotent says whether the library has an idempotent producer.
	idempotent() bool
	createTopic(ctx context.Context, addr, topic string, partitions int) error
	// produce writes b and returns once every record is acknowledged, or, with
	// acks 0, handed to the kernel. The producer of acks 0 stays open until the
	// test ends: nobody promises that bytes survive a close they raced with.
	produce(t *testing.T, addr string, b batch) error
	// consume reads every partition of a topic from its start until f says
	// stop. With committed it does not see what was aborted.
	consume(ctx context.Context, addr, topic string, partitions int, committed bool, f deliver) error
	// reordersUnacknowledged says that the library may send what needs no
	// acknowledgement over several connections, so in any order.
	reordersUnacknowledged() bool
	// losesCommits says that a commit of the library's may be lost to a
	// rebalance, so that a group may be given again what it had before.
	losesCommits() bool
	// join adds a member to a group that reads topic.
	join(addr, group, topic string, f deliver) (member, error)
}

// transactor is a client that has transactions.
type transactor interface {
	// transact writes b in one transaction and commits or aborts it.
	transact(ctx context.Context, addr, id string, b batch, commit bool) error
}

// every lists the clients of the matrix.
var every = []client{confluentClient{}, saramaClient{}, segmentClient{}}

// eachClient runs f for every engine and client.
func eachClient(t *testing.T, f func(t *testing.T, b *broker.Broker, c client)) {
	eachOf(t, every, f)
}

// eachOf runs f for every engine and the given clients, the clients of an
// engine at the same time: so a server serves several kinds of client at once.
func eachOf(t *testing.T, clients []client, f func(t *testing.T, b *broker.Broker, c client)) {
	broker.Each(t, func(t *testing.T, b *broker.Broker) {
		for _, c := range clients {
			t.Run(c.name(), func(t *testing.T) {
				t.Parallel()
				f(t, b, c)
			})
		}
	})
}

// patience is how long anything may take on a busy machine of two cores.
const patience = 2 * time.Minute

// within fails the test if cond does not become true in time.
func within(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
