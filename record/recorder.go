package record

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// Config says what a Recorder keeps. The zero value works.
type Config struct {
	// BytesMax bounds the file; at the bound recording ends. Default 1 GiB; at least 64 KiB.
	BytesMax int64
	// Payloads has bodies kept whole, records too, as far as Keep allows. Default: the sizes of
	// records only.
	Payloads bool
	// QueueBytesMax bounds what waits to be written, over all connections; what it has no room
	// for is lost, and counted. Default 8 MiB; at least 64 KiB.
	QueueBytesMax int64
	// Software is written into the file, such as "kring 1.2.3".
	Software string
	// Ended, if set, is called once, when recording ends before Close: err is nil at BytesMax, and
	// else why the file can't be written. It is called on the Recorder's goroutine.
	Ended func(err error)
}

const (
	// BytesMaxDefault is Config.BytesMax where it is 0.
	BytesMaxDefault = 1 << 30
	// QueueBytesMaxDefault is Config.QueueBytesMax where it is 0.
	QueueBytesMaxDefault = 8 << 20
	// BytesLeast is the least that both may be.
	BytesLeast = 64 << 10
)

func (c Config) withDefaults() Config {
	c.BytesMax = cmp.Or(c.BytesMax, BytesMaxDefault)
	c.QueueBytesMax = cmp.Or(c.QueueBytesMax, QueueBytesMaxDefault)
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	if c.BytesMax < BytesLeast {
		faults = append(faults, fmt.Errorf("record: BytesMax is %d: choose %d or more", c.BytesMax, BytesLeast))
	}
	if c.QueueBytesMax < BytesLeast {
		faults = append(faults, fmt.Errorf("record: QueueBytesMax is %d: choose %d or more", c.QueueBytesMax, BytesLeast))
	}
	return errors.Join(faults...)
}

// Stats counts what a Recorder has done.
type Stats struct {
	Requests uint64 // written
	Lost     uint64 // entries that were left out: the queue had no room
	Bytes    int64  // of the file
	Ended    bool   // nothing more is written
}

const (
	// queuedMax bounds how many entries wait to be written. Each takes queuedBytes beside its own.
	queuedMax   = 16 << 10
	queuedBytes = 64
	// endBytes of the file are kept for the last entries: Lost and End.
	endBytes = 256
)

// queued is an entry to be written, behind room for its head; or a response to Metadata.
type queued struct {
	b        []byte
	metadata int16 // the version of the response in b; -1: it is an entry
	request  bool
}

// Recorder writes a recording. Any goroutine may use it.
type Recorder struct {
	cfg   Config
	began time.Time

	over    atomic.Bool // nothing more is taken
	lost    atomic.Uint64
	held    atomic.Int64 // bytes that are queued
	numbers atomic.Uint64
	told    atomic.Uint64 // a hash of the response to Metadata that was queued last
	raw     sync.Map      // ConnID: it sends tokens of SASL that are no requests
	queue   chan queued
	closing chan struct{}
	once    sync.Once
	done    chan struct{} // closed when the file is

	// Owner: the goroutine of write, then whoever has seen done.
	to       io.WriteCloser
	out      *bufio.Writer
	topics   topics
	bytes    atomic.Int64
	requests atomic.Uint64
	ended    bool // the End entry is written
	toldEnd  bool
	fault    error
}

// New begins a recording in w, which it owns from then on, and may write to for as long as
// that takes.
func New(w io.WriteCloser, c Config) (*Recorder, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &Recorder{
		cfg: c.withDefaults(), began: time.Now(), to: w, out: bufio.NewWriterSize(w, 64<<10), topics: topics{},
		queue: make(chan queued, queuedMax), closing: make(chan struct{}), done: make(chan struct{}),
	}
	r.told.Store(1)
	go r.write()
	return r, nil
}

// Stats are those of now.
func (r *Recorder) Stats() Stats {
	return Stats{Requests: r.requests.Load(), Lost: r.lost.Load(), Bytes: r.bytes.Load(), Ended: r.over.Load()}
}

// Close writes what is queued, and ends the file. When ctx ends before, because the file can't be
// written, Close returns at once, and what is left is lost. The error is that of the file.
func (r *Recorder) Close(ctx context.Context) error {
	r.over.Store(true)
	r.once.Do(func() { close(r.closing) })
	select {
	case <-r.done:
		return r.fault
	case <-ctx.Done():
		return fmt.Errorf("record: the file was not written in time: %w", ctx.Err())
	}
}

// since is the time of an entry that is queued now.
func (r *Recorder) since() time.Duration { return time.Since(r.began) }

// add queues an entry, or counts it as lost. It never blocks.
func (r *Recorder) add(q queued) bool {
	n := int64(len(q.b)) + queuedBytes
	if r.held.Add(n) <= r.cfg.QueueBytesMax {
		select {
		case r.queue <- q:
			return true
		default:
		}
	}
	r.held.Add(-n)
	r.lost.Add(1)
	return false
}

// entry queues e. Room for its body must be in size.
func (r *Recorder) entry(e *Entry, size int) {
	b := make([]byte, entryHeadBytes, entryHeadBytes+64+size)
	r.add(queued{b: e.append(b), metadata: -1, request: e.Kind == Request})
}

// fits says that something of n bytes has room in the queue now: who would copy much for nothing
// asks before.
func (r *Recorder) fits(n int) bool {
	if r.held.Load()+int64(n)+queuedBytes <= r.cfg.QueueBytesMax {
		return true
	}
	r.lost.Add(1)
	return false
}

// write is the Recorder's goroutine.
func (r *Recorder) write() {
	defer close(r.done)
	_, err := r.out.WriteString(magic)
	r.bytes.Store(int64(len(magic)))
	r.fail(err)
	r.put(&Entry{Kind: Start, Version: FormatVersion, Time: r.began, Payloads: r.cfg.Payloads, Software: r.cfg.Software})
	var lost uint64
	for {
		q, more := r.next()
		if !more {
			break
		}
		if n := r.lost.Load(); n != lost {
			lost = n
			r.put(&Entry{Kind: Lost, Lost: n})
		}
		r.take(q)
		r.held.Add(-int64(len(q.b)) - queuedBytes)
	}
	if r.fault == nil && r.bytes.Load() > 0 {
		r.end("closed")
	}
	if err := r.to.Close(); r.fault == nil {
		r.fault = err
	}
}

// next is what to write next. The file is as new as the queue is empty.
func (r *Recorder) next() (queued, bool) {
	select {
	case q := <-r.queue:
		return q, true
	default:
		r.fail(r.out.Flush())
	}
	select {
	case q := <-r.queue:
		return q, true
	case <-r.closing:
	}
	select { // both may have been ready
	case q := <-r.queue:
		return q, true
	default:
		return queued{}, false
	}
}

// take writes what was queued.
func (r *Recorder) take(q queued) {
	switch {
	case r.stopped():
	case q.metadata < 0:
		if r.emit(q.b) && q.request {
			r.requests.Add(1)
		}
	default:
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = q.metadata
		if kafka.DecodeResponse(q.b, resp) == nil {
			for _, e := range r.topics.learn(resp) {
				r.put(&e)
			}
		}
	}
}

// stopped says that the file has its end, or can't be written.
func (r *Recorder) stopped() bool { return r.fault != nil || r.ended }

// put writes an entry.
func (r *Recorder) put(e *Entry) bool {
	return r.emit(e.append(make([]byte, entryHeadBytes, entryHeadBytes+128)))
}

// emit writes an entry that has room for its head before it; at the bound it ends the file
// instead.
func (r *Recorder) emit(b []byte) bool {
	if r.stopped() {
		return false
	}
	if r.bytes.Load()+int64(len(b)) > r.cfg.BytesMax-endBytes {
		r.end("it has reached its bound")
		r.tell(r.fault)
		return false
	}
	r.raise(b)
	return r.fault == nil
}

// raise writes the head of an entry, and the entry.
func (r *Recorder) raise(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-entryHeadBytes))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[entryHeadBytes:], castagnoli))
	n, err := r.out.Write(b)
	r.bytes.Add(int64(n))
	r.fail(err)
}

// end writes the last entry.
func (r *Recorder) end(why string) {
	if r.stopped() {
		return
	}
	r.over.Store(true)
	e := Entry{Kind: End, Text: why, Number: r.requests.Load(), Lost: r.lost.Load()}
	r.raise(e.append(make([]byte, entryHeadBytes, endBytes)))
	r.ended = true
	r.fail(r.out.Flush())
}

// fail ends the recording because of the file.
func (r *Recorder) fail(err error) {
	if err == nil || r.fault != nil {
		return
	}
	r.fault = fmt.Errorf("record: writing the file: %w", err)
	r.over.Store(true)
	r.tell(r.fault)
}

// tell tells once that the recording has ended, unless it was asked to.
func (r *Recorder) tell(err error) {
	select {
	case <-r.closing:
		return
	default:
	}
	if r.cfg.Ended != nil && !r.toldEnd {
		r.toldEnd = true
		r.cfg.Ended(err)
	}
}
