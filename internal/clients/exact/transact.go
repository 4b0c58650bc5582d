package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome of a transaction, as its producer knows it.
type outcome byte

const (
	aborted outcome = iota
	committed
	unsure // the answer to its end was lost: whole or not at all
)

// ledger has the outcome of each transaction, by its number.
type ledger []outcome

// transact runs transactions, each with a record in every partition, until ctx is done.
// Every fourth is aborted.
func (x *exact) transact(ctx context.Context, id int, l *ledger) error {
	for ctx.Err() == nil {
		client, err := x.client(kgo.DefaultProduceTopic(x.topic(transactKind)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.TransactionalID(fmt.Sprintf("%s-%d", x.topics, id)), kgo.TransactionTimeout(time.Minute))
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			before := session(client)
			how, err := x.transaction(client, id, len(*l))
			*l = append(*l, how)
			if err == nil {
				x.ended.Add(1)
				if before != session(client) {
					x.raised.Add(1)
				}
				pause(ctx, paceTime)
				continue
			}
			// A new client asks for the producer id again, which ends what was open.
			fmt.Printf("exact: %s transaction %d of %d: %v\n", time.Now().Format(time.TimeOnly), len(*l)-1, id, err)
			break
		}
		client.Close()
		pause(ctx, time.Second)
	}
	return x.settle(id)
}

// producer is who a coordinator takes a transactional client for.
type producer struct {
	id    int64
	epoch int16
}

// session is who client is now, as far as it knows. The coordinator says so at the end of each
// transaction if it uses transactions of version 2 (KIP-890), and raises the epoch.
func session(client *kgo.Client) (p producer) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	p.id, p.epoch, _ = client.ProducerID(ctx)
	return p
}

// settle has the coordinator end what the last client may have left open.
func (x *exact) settle(id int) error {
	client, err := x.client(kgo.TransactionalID(fmt.Sprintf("%s-%d", x.topics, id)))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	for {
		if _, _, err = client.ProducerID(ctx); err == nil {
			return nil
		}
		if !pause(ctx, time.Second) {
			return fmt.Errorf("transactional producer %d: its last transaction was not ended within %v: %w", id, patience, err)
		}
	}
}

func (x *exact) transaction(client *kgo.Client, id, number int) (outcome, error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := client.BeginTransaction(); err != nil {
		return aborted, fmt.Errorf("beginning: %w", err)
	}
	var records []*kgo.Record
	for p := range partitions {
		records = append(records, &kgo.Record{Partition: int32(p), Value: fmt.Appendf(nil, "%d %d", id, number)})
	}
	produced := client.ProduceSync(ctx, records...).FirstErr()
	if produced != nil || number%4 == 3 {
		err := client.EndTransaction(ctx, kgo.TryAbort)
		return aborted, errors.Join(produced, err)
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		x.unsure.Add(1)
		return unsure, fmt.Errorf("committing: %w", err)
	}
	return committed, nil
}
