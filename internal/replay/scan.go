package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/measure"
	"kring/kafka"
	"kring/record"
)

// Summary is what is in a recording.
type Summary struct {
	Began    time.Time
	Software string
	Payloads bool
	// Length is from the first connection or request to the last entry. First is when that was,
	// from the beginning of the recording: it is not waited for.
	Length      time.Duration
	First       time.Duration
	Connections int
	Requests    uint64
	Lost        uint64
	// Ended says why it ends: "closed", or what else the End entry says. "" without one: the
	// process that recorded was ended. Torn is the error where the file is truncated or damaged.
	Ended string
	Torn  error
	// APIs are those that were recorded, by key; -1 for frames that are no requests.
	APIs map[int16]*Recorded
	// Topics are those that are produced to or consumed from, by name.
	Topics map[string]*Topic

	names map[[16]byte]string // of topics
}

// Recorded is what was recorded of an API.
type Recorded struct {
	Requests, Bytes uint64
	Versions        map[int16]uint64
	// Errors are how many answers had which code; not those without.
	Errors map[int16]uint64
	// Latency is in microseconds, from arrival to answer.
	Latency measure.Distribution

	latency measure.Histogram
}

// Topic is a topic of a recording.
type Topic struct {
	// Partitions is how many there are as far as is known, at least 1.
	Partitions              int
	Produced                bool
	Batches, Records, Bytes uint64 // produced

	fetched bool
}

// Bounds of what a file can have this process hold.
const (
	apisMax   = 1 << 10
	topicsMax = 100_000
	// partitionsMost is the largest number of partitions that is believed.
	partitionsMost = 100_000
	// partitionsGuessed bounds that of a topic which only clients named.
	partitionsGuessed = 100
)

// Scan reads a recording whole. A file that is torn is no error: Summary.Torn says so. When ctx ends, so
// does Scan, with its error.
func Scan(ctx context.Context, in io.Reader) (*Summary, error) {
	r, err := record.NewReader(in)
	if err != nil {
		return nil, err
	}
	start := r.Start()
	s := &Summary{Began: start.Time, Software: start.Software, Payloads: start.Payloads, APIs: map[int16]*Recorded{}, Topics: map[string]*Topic{}, names: map[[16]byte]string{}}
	seen := map[string]int{}   // partitions of topics that clients were told of
	byID := map[[16]byte]use{} // of topics whose names come later
	var e record.Entry
	s.First = -1
	for err = r.Next(&e); err == nil; err = r.Next(&e) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.entry(&e, seen, byID)
	}
	s.First = max(s.First, 0)
	s.Length = max(s.Length-s.First, 0)
	switch {
	case errors.Is(err, record.ErrTorn):
		s.Torn = err
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	s.settle(seen, byID)
	return s, nil
}

// settle is when all was read.
func (s *Summary) settle(seen map[string]int, byID map[[16]byte]use) {
	for id, u := range byID {
		if name := s.names[id]; name != "" {
			s.used(name, u)
		}
	}
	for name, t := range s.Topics {
		if n := seen[name]; n > 0 { // what the server said, whatever clients asked for
			t.Partitions = n
		} else {
			t.Partitions = min(t.Partitions, partitionsGuessed)
		}
	}
	for _, a := range s.APIs {
		a.latency.Publish()
		a.Latency = a.latency.Snapshot()
	}
}

func (s *Summary) entry(e *record.Entry, seen map[string]int, byID map[[16]byte]use) {
	s.Length = max(s.Length, e.At)
	if (e.Kind == record.Opened || e.Kind == record.Request) && (s.First < 0 || e.At < s.First) {
		s.First = e.At
	}
	switch e.Kind {
	case record.Opened:
		s.Connections++
	case record.Request:
		s.Requests++
		if a := s.api(e.API); a != nil {
			a.Requests++
			a.Bytes += uint64(e.Bytes)
			if len(a.Versions) < 1<<8 {
				a.Versions[e.APIVersion]++
			}
		}
		s.topicsOf(e, byID)
	case record.Response:
		if a := s.api(e.API); a != nil {
			if e.Answer == record.Sent { // the others have no latency when they are replayed
				a.latency.Note(uint64(e.Latency.Microseconds()), 1)
			}
			if e.ErrorCode != 0 {
				a.Errors[e.ErrorCode]++
			}
		}
	case record.Topic:
		if len(seen) < topicsMax {
			seen[e.Text] = max(seen[e.Text], min(e.Partitions, partitionsMost))
		}
		if e.ID != [16]byte{} && len(s.names) < topicsMax {
			s.names[e.ID] = e.Text
		}
	case record.Lost:
		s.Lost = e.Lost
	case record.End:
		s.Ended, s.Lost = e.Text, e.Lost
	}
}

func (s *Summary) api(key int16) *Recorded {
	a := s.APIs[key]
	if a == nil && len(s.APIs) < apisMax {
		a = &Recorded{Versions: map[int16]uint64{}, Errors: map[int16]uint64{}}
		s.APIs[key] = a
	}
	return a
}

// use is what a request does with a topic.
type use struct {
	partitions              int
	produced, fetched       bool
	batches, records, bytes uint64
}

// used adds a use of a topic.
func (s *Summary) used(name string, u use) {
	t := s.Topics[name]
	if t == nil {
		if len(s.Topics) >= topicsMax {
			return
		}
		t = &Topic{Partitions: 1}
		s.Topics[name] = t
	}
	t.Partitions = max(t.Partitions, min(u.partitions, partitionsMost))
	t.Produced, t.fetched = t.Produced || u.produced, t.fetched || u.fetched
	t.Batches += u.batches
	t.Records += u.records
	t.Bytes += u.bytes
}

// topicsOf notes what a request does with topics.
func (s *Summary) topicsOf(e *record.Entry, byID map[[16]byte]use) {
	note := func(name string, id [16]byte, u use) {
		if name == "" && id != [16]byte{} {
			if name = s.names[id]; name == "" {
				was, known := byID[id]
				if !known && len(byID) >= topicsMax {
					return
				}
				was.partitions = max(was.partitions, u.partitions)
				was.produced, was.fetched = was.produced || u.produced, was.fetched || u.fetched
				was.batches, was.records, was.bytes = was.batches+u.batches, was.records+u.records, was.bytes+u.bytes
				byID[id] = was
				return
			}
		}
		s.used(name, u)
	}
	req, _ := decode(e)
	switch q := req.(type) {
	case *kmsg.ProduceRequest:
		for i := range q.Topics {
			t := &q.Topics[i]
			u := use{produced: true}
			for k := range t.Partitions {
				u.partitions = max(u.partitions, int(t.Partitions[k].Partition)+1)
				for _, b := range batchesOf(t.Partitions[k].Records, e.Form) {
					u.batches, u.records, u.bytes = u.batches+1, u.records+uint64(max(b.Records, 0)), u.bytes+uint64(b.Bytes)
				}
			}
			note(t.Topic, t.TopicID, u)
		}
	case *kmsg.FetchRequest:
		for i := range q.Topics {
			u := use{fetched: true}
			for k := range q.Topics[i].Partitions {
				u.partitions = max(u.partitions, int(q.Topics[i].Partitions[k].Partition)+1)
			}
			note(q.Topics[i].Topic, q.Topics[i].TopicID, u)
		}
	case *kmsg.ListOffsetsRequest:
		for i := range q.Topics {
			u := use{}
			for k := range q.Topics[i].Partitions {
				u.partitions = max(u.partitions, int(q.Topics[i].Partitions[k].Partition)+1)
			}
			note(q.Topics[i].Topic, [16]byte{}, u)
		}
	}
}

// batchesOf are the batches of a partition of a Produce request.
func batchesOf(records []byte, form record.Form) []record.Batch {
	if form == record.Cut {
		return record.BatchesOfCut(records)
	}
	return record.BatchesOf(records)
}

// decode is the request of an entry, and else why there is none. Only what is valid is decoded:
// anybody may have made the file.
func decode(e *record.Entry) (kmsg.Request, string) {
	switch {
	case e.API < 0:
		return nil, "it is no request that is known"
	case e.Form == record.NoBody:
		return nil, "its body was not recorded"
	}
	req := kmsg.RequestForKey(e.API)
	if req == nil {
		return nil, "it is no request that is known"
	}
	size, err := kafka.Validate(e.API, e.APIVersion, e.Body, 0)
	if err != nil {
		return nil, "its body can't be read"
	}
	req.SetVersion(e.APIVersion)
	if err := req.ReadFrom(e.Body[:size]); err != nil {
		return nil, "its body can't be read"
	}
	return req, ""
}

// Names are the topics, in order.
func (s *Summary) Names() (all []string) {
	for name := range s.Topics {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// State is one line about how the recording ends.
func (s *Summary) State() string {
	switch {
	case s.Torn != nil:
		return s.Torn.Error()
	case s.Ended == "":
		return "the recording has no end: the server was ended, or still records"
	case s.Ended != "closed":
		return "the recording ended: " + s.Ended
	}
	return ""
}

// lostText says what a recording lacks; "" when that is nothing.
func (s *Summary) lostText() string {
	if s.Lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d entries are not in the recording: its file was not written as fast as they came", s.Lost)
}
