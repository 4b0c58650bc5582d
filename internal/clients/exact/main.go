// Command exact produces and consumes while a cluster, and what is in front of it, has bad
// days, and then holds what is stored against what was acknowledged.
//
// Job. Idempotent producers number their records, transactional ones their transactions,
// some of which they abort, and groups read along: a classic one and one of KIP-848, which commit,
// and a share group. After SIGTERM everything is read once more, and the program exits with 1
// unless each acknowledged record is there exactly once and in order, each transaction whole or
// not at all, no committed offset went back, the share group was given every record, and none
// again that the broker had confirmed as accepted. Producers without acknowledgements were
// promised nothing: what they lost is counted.
// scripts/gateway.sh and scripts/gateway-upgrade.sh use it.
//
//	exact -bootstrap HOST:PORT,… [-name NAME=ADDRESS,…] [-topics PREFIX] [-next N] [-share N]
//	exact -bootstrap HOST:PORT,… -await NODES
//
// The second form waits until so many brokers are there and every partition has all of its
// replicas in sync.
//
// Flow. One goroutine for each client; what is promised is kept in a ledger of the client's
// own, which is read when its goroutine has ended.
//
// Ownership. A client belongs to its goroutine. The offsets of the group are shared, under a lock.
//
// Never. It does not stop or start brokers, and it does not measure.
//
// Kernel. Nothing of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds what has to come about once brokers are back; the longest that nothing may
// be acknowledged, as well.
const patience = 3 * time.Minute

type exact struct {
	dial   dialer
	topics string
	many   counts

	produced atomic.Int64 // acknowledged records of idempotent producers
	ended    atomic.Int64 // transactions that ended as they were to
	raised   atomic.Int64 // those of them by whose end the producer's epoch rose: version 2
	unsure   atomic.Int64 // transactions whose producer was not told how they ended
	consumed atomic.Int64
	accepted atomic.Int64 // records that the broker confirmed for the share group
	silent   atomic.Int64 // records sent without acknowledgement
}

// counts is how many clients of each kind there are.
type counts struct{ producers, transactional, silent, members, next, share int }

func main() {
	x := &exact{}
	bootstrap := flag.String("bootstrap", "127.0.0.1:9092", "`HOST:PORT,…` of brokers or gateways")
	name := flag.String("name", "", "`NAME=ADDRESS,…`: connect to these addresses, in turn, where NAME is the host; as a name server would say")
	flag.StringVar(&x.topics, "topics", "exact", "`PREFIX` of the topics, of transactional ids and of the group")
	flag.IntVar(&x.many.producers, "producers", 6, "idempotent producers")
	flag.IntVar(&x.many.transactional, "transactional", 3, "transactional producers")
	flag.IntVar(&x.many.silent, "silent", 2, "producers without acknowledgements")
	flag.IntVar(&x.many.members, "members", 3, "members of the classic group")
	flag.IntVar(&x.many.next, "next", 0, "members of a group of KIP-848")
	flag.IntVar(&x.many.share, "share", 0, "members of a share group")
	await := flag.Int("await", 0, "only wait for so many brokers with every replica in sync")
	flag.Parse()
	err := x.dial.parse(*bootstrap, *name)
	if err == nil && *await > 0 {
		err = x.awaitBrokers(*await)
	} else if err == nil {
		err = x.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "exact:", err)
		os.Exit(1)
	}
}

// run keeps every client busy until SIGTERM, and then compares.
func (x *exact) run() error {
	if err := x.createTopics(); err != nil {
		return err
	}
	if x.many.share > 0 {
		if err := x.createShareGroup(); err != nil {
			return err
		}
	}
	r := &ran{numbered: make([]numbering, x.many.producers), transactions: make([]ledger, x.many.transactional),
		classic: newOffsets(x.topics), next: newOffsets(x.topics + "-next"), shared: newShared()}
	faults := x.keepBusy(r)
	faults = append(faults, x.verify(r)...)
	there, again, err := x.countSilent()
	err = errors.Join(append(faults, err)...)
	seen, repeated := r.shared.count()
	fmt.Printf("exact: records=%d transactions=%d raised=%d unsure=%d consumed=%d commits=%d commits-next=%d shared=%d accepted=%d shared-again=%d silent=%d silent-lost=%d silent-again=%d faults=%t\n",
		x.produced.Load(), x.ended.Load(), x.raised.Load(), x.unsure.Load(), x.consumed.Load(), r.classic.commits.Load(), r.next.commits.Load(),
		seen, x.accepted.Load(), repeated, x.silent.Load(), x.silent.Load()-int64(there), again, err != nil)
	return err
}

// ran is what clients were promised.
type ran struct {
	numbered      []numbering
	transactions  []ledger
	classic, next *offsets
	shared        *shared
}

// keepBusy runs every client until SIGTERM.
func (x *exact) keepBusy(r *ran) []error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var running sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	start := func(n int, client func(i int) error) {
		for i := range n {
			running.Go(func() {
				err := client(i)
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
			})
		}
	}
	start(x.many.producers, func(i int) error { return x.produce(ctx, i, &r.numbered[i]) })
	start(x.many.transactional, func(i int) error { return x.transact(ctx, i, &r.transactions[i]) })
	start(x.many.silent, func(i int) error { return x.silence(ctx, i) })
	start(x.many.members, func(int) error { return x.follow(ctx, r.classic) })
	start(x.many.next, func(int) error { return x.follow(ctx, r.next, kgo.ServerSideBalancer()) })
	start(x.many.share, func(int) error { return x.share(ctx, r.shared) })
	start(1, func(int) error { return x.watch(ctx, stop, r) })
	running.Wait()
	return faults
}

// watch says each time that every kind of client was promised something more, and ends the run
// when one was promised nothing for too long.
func (x *exact) watch(ctx context.Context, stop func(), r *ran) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	counts := []*atomic.Int64{&x.produced, &x.ended, &r.classic.commits}
	if x.many.next > 0 {
		counts = append(counts, &r.next.commits)
	}
	if x.many.share > 0 {
		counts = append(counts, &x.accepted)
	}
	last := make([]int64, len(counts))
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := make([]int64, len(counts))
		all := true
		for i, c := range counts {
			now[i] = c.Load()
			all = all && now[i] > last[i]
		}
		if all {
			last, since = now, time.Now()
			fmt.Printf("exact: %s records=%d transactions=%d raised=%d commits=%d\n", since.Format(time.TimeOnly), now[0], now[1], x.raised.Load(), now[2])
		} else if time.Since(since) > patience {
			stop()
			return fmt.Errorf("for %v not each of records, transactions, commits and what was accepted went on: %v, before %v", patience, now, last)
		}
	}
}

// topic of a kind of records.
func (x *exact) topic(kind string) string { return x.topics + "-" + kind }

// The kinds.
const (
	numberedKind = "numbered"
	transactKind = "transactions"
	silentKind   = "silent"
)

// partitions of each topic.
const partitions = 6

// list cuts at commas.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
