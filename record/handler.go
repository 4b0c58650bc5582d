package record

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/kafka"
	"kring/reqchan"
)

// Handler stands in front of next, which speaks Kafka, and records what comes: give it to
// kring.New in next's place. It adds the time for a copy of what is kept to each request, and
// never waits for the file.
func (r *Recorder) Handler(next kring.Handler) kring.Handler {
	h := &handler{r: r, next: next}
	h.watcher, _ = next.(kring.ConnWatcher)
	h.reader, _ = next.(kring.APIReader)
	return h
}

type handler struct {
	r       *Recorder
	next    kring.Handler
	watcher kring.ConnWatcher
	reader  kring.APIReader
}

// Handle records a request and passes it on.
func (h *handler) Handle(q kring.Request) {
	if !h.r.over.Load() {
		h.r.request(q)
	}
	h.next.Handle(q)
}

// APIOf is next's.
func (h *handler) APIOf(payload []byte) (key, version int16) {
	if h.reader == nil {
		return kafka.APIOf(payload)
	}
	return h.reader.APIOf(payload)
}

// ConnOpened records that a connection began.
func (h *handler) ConnOpened(c *kring.Conn) {
	if !h.r.over.Load() {
		h.r.entry(&Entry{Kind: Opened, At: h.r.since(), Conn: c.ID, Text: c.Listener}, len(c.Listener))
	}
	if h.watcher != nil {
		h.watcher.ConnOpened(c)
	}
}

// ConnClosed records that one ended.
func (h *handler) ConnClosed(c *kring.Conn, why kring.CloseReason) {
	h.r.raw.Delete(c.ID)
	if !h.r.over.Load() {
		h.r.entry(&Entry{Kind: Closed, At: h.r.since(), Conn: c.ID, Text: why.String()}, 0)
	}
	if h.watcher != nil {
		h.watcher.ConnClosed(c, why)
	}
}

// pending is a request whose answer is still to be recorded.
type pending struct {
	r       *Recorder
	arrived time.Duration
	e       Entry // of the Response
}

var pendings = sync.Pool{New: func() any { return new(pending) }}

// request records one that has come.
func (r *Recorder) request(q kring.Request) {
	payload := q.Payload()
	c := q.Conn()
	now := r.since()
	if age, known := q.Age(); known {
		now = max(now-age, 0)
	}
	e := Entry{Kind: Request, At: now, Conn: c.ID, Number: r.numbers.Add(1), API: -1, Bytes: len(payload)}
	h, err := kafka.ParseHeader(payload)
	if _, raw := r.raw.Load(c.ID); err == nil && !raw {
		r.identify(&e, h)
		var ok bool
		if e.Body, e.Form, ok = keep(nil, h.Key, h.Version, payload[h.Size:], r.cfg.Payloads, r.fits); !ok {
			return
		}
		if h.Key == int16(kmsg.SASLHandshake) && h.Version == 0 {
			// What it sends from now on are bare tokens, until it is authenticated, and
			// nobody here knows when that is.
			r.raw.Store(c.ID, true)
			if c.Ended() { // Order: ConnClosed may have been before
				r.raw.Delete(c.ID)
			}
		}
	}
	p := pendings.Get().(*pending)
	*p = pending{r: r, arrived: now, e: Entry{Kind: Response, Conn: e.Conn, Number: e.Number, API: e.API, APIVersion: e.APIVersion, CorrelationID: e.CorrelationID}}
	q.WatchAnswer(p)
	if len(e.Body) > entryBytesMax/2 {
		e.Body, e.Form = nil, NoBody
	}
	r.entry(&e, len(e.Body))
}

// identify notes what a request's header says.
func (r *Recorder) identify(e *Entry, h kafka.Header) {
	e.API, e.APIVersion, e.CorrelationID = h.Key, h.Version, h.CorrelationID
	if h.ClientID != nil {
		id := string(h.ClientID)
		e.ClientID = &id
	}
}

// Answered records the answer; it is of reqchan.AnswerWatcher.
func (p *pending) Answered(q reqchan.Request, k reqchan.AnswerKind, head []byte, size int) {
	r, e := p.r, p.e
	if !r.over.Load() {
		e.At = r.since()
		e.Latency = e.At - p.arrived
		e.Bytes, e.ErrorCode = size, q.ErrorCode()
		switch k {
		case reqchan.AnswerNoResponse:
			e.Answer = Nothing
		case reqchan.AnswerClose:
			e.Answer = Cutoff
		}
		r.entry(&e, 0)
		if e.API == int16(kmsg.Metadata) && k == reqchan.AnswerSend && len(head) == size {
			r.names(e.APIVersion, head)
		}
	}
	*p = pending{}
	pendings.Put(p)
}

var seed = maphash.MakeSeed()

// names has the names of topics noted that a response to Metadata has.
func (r *Recorder) names(version int16, payload []byte) {
	header := len(kafka.AppendResponseHeader(nil, int16(kmsg.Metadata), version, 0))
	if len(payload) < header {
		return
	}
	body := payload[header:]
	hash := maphash.Bytes(seed, body) // clients ask for the same again and again
	if r.told.Load() == hash || !r.fits(len(body)) {
		return
	}
	if r.add(queued{b: bytes.Clone(body), metadata: version}) {
		r.told.Store(hash)
	}
}
