package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience bounds one exchange.
const patience = time.Minute

// client is one connection and what it does.
type client struct {
	cluster   *cluster
	partition int32
	address   string
	every     time.Duration // 0: never
	phase     time.Duration
	act       func(*client, time.Time) error

	conn        net.Conn
	correlation int32
	next        int64 // offset that a consumer wants

	answers, intervals, missed, consumed int
	took                                 []time.Duration
}

func (c *client) connect() (err error) {
	if c.conn, err = net.DialTimeout("tcp", c.address, patience); err != nil {
		return err
	}
	return c.greet()
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

// greet asks what every client asks first.
func (c *client) greet() error {
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.Version, versions.ClientSoftwareName, versions.ClientSoftwareVersion = 3, "throng", "1"
	if _, err := c.exchange(versions); err != nil {
		return err
	}
	_, err := c.exchange(metadataRequest(c.cluster.topic))
	return err
}

// live does the client's work in each of its intervals.
func (c *client) live(begun, end time.Time) error {
	if c.every == 0 {
		return nil
	}
	for due := begun.Add(c.phase); due.Add(c.every).Before(end); due = due.Add(c.every) {
		time.Sleep(time.Until(due))
		c.intervals++
		if err := c.act(c, due); err != nil {
			return err
		}
	}
	return nil
}

// answered counts an answer to what was due, and whether it came in its interval.
func (c *client) answered(due time.Time) {
	took := time.Since(due)
	c.answers++
	c.took = append(c.took, took)
	if took > c.every {
		c.missed++
	}
}

func (c *client) produce(due time.Time) error {
	body, err := c.exchange(produceRequest(c.cluster.topic, c.partition))
	if err != nil {
		return err
	}
	response := kmsg.ProduceResponse{Version: produceVersion}
	if err := response.ReadFrom(body); err != nil {
		return err
	}
	if code := response.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("Produce was answered with error %d", code)
	}
	c.answered(due)
	return nil
}

// consume waits for records until the interval is over, and misses it when none came.
func (c *client) consume(due time.Time) error {
	before := c.consumed
	for asked := due; time.Since(due) < c.every-fetchWait; asked = time.Now() {
		body, err := c.exchange(fetchRequest(c.cluster.topic, c.partition, c.next))
		if err != nil {
			return err
		}
		response := kmsg.FetchResponse{Version: fetchVersion}
		if err := response.ReadFrom(body); err != nil {
			return err
		}
		p := response.Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			return fmt.Errorf("Fetch was answered with error %d", p.ErrorCode)
		}
		for batch := range batches(p.RecordBatches) {
			c.next = max(c.next, batch.end)
			c.consumed += batch.records
		}
		c.answered(asked)
	}
	if c.consumed == before {
		c.missed++
	}
	return nil
}

// exchange sends a request and reads the body of its answer.
func (c *client) exchange(request kmsg.Request) ([]byte, error) {
	c.correlation++
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("throng")).AppendRequest(nil, request, c.correlation)
	name := kmsg.NameForKey(request.Key())
	if _, err := c.conn.Write(frame); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var head [8]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size < 4 || size > 8<<20 || int32(binary.BigEndian.Uint32(head[4:])) != c.correlation {
		return nil, errors.New(name + ": what came is no answer to it")
	}
	body := make([]byte, size-4)
	_, err := io.ReadFull(c.conn, body)
	return body, err
}
