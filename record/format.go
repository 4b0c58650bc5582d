package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"kring/reqchan"
)

// FormatVersion is the version of the format that is written. A Reader reads this one and
// earlier ones.
const FormatVersion = 1

// magic begins a file. Its first byte is not ASCII, and its line ends show what a transfer as
// text does to it.
const magic = "\x89KREC\r\n\x1a"

// entryBytesMax bounds one entry: a frame of the largest size that Kafka's protocol allows
// would be larger, and is kept without its body.
const entryBytesMax = 256 << 20

// entryHeadBytes is what stands before an entry: its length, and its CRC-32C.
const entryHeadBytes = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind says what an Entry is.
type Kind uint8

// The kinds of entry. A Reader leaves out those that it does not know.
const (
	// Start is the first entry: Version, Time, Payloads, Software.
	Start Kind = iota + 1
	// Opened: a connection began. At, Conn, Text is its listener.
	Opened
	// Closed: a connection ended. At, Conn, Text is why.
	Closed
	// Request is a frame from a client. At, Conn, Number and what follows in Entry up to Body.
	Request
	// Response is the answer to it. At, Conn, Number, API, APIVersion, CorrelationID, Bytes,
	// Latency, ErrorCode, Answer.
	Response
	// Topic is a topic that clients were told of. Text is its name, ID, Partitions.
	Topic
	// Lost says how many entries were left out so far, because the file was not written as fast
	// as they came: Lost.
	Lost
	// End is the last entry, unless the process or the disk ended the recording: Text is why it
	// ended, Number how many requests it has, Lost how many entries were left out.
	End
)

// Form is what is kept of a request's body.
type Form uint8

// The forms of a body.
const (
	// NoBody: nothing is.
	NoBody Form = iota
	// Whole: all of it.
	Whole
	// Cut: of a Produce request, each record batch is cut to its header (61 bytes), which has its
	// size and how many records it has. Messages of older sets are cut to 18 bytes.
	Cut
	// Scrubbed: what may be secret is null.
	Scrubbed
)

// Answer is how a request was answered.
type Answer uint8

// The kinds of answer.
const (
	// Sent: with a response.
	Sent Answer = iota
	// Nothing: with none, as Produce with acks=0.
	Nothing
	// Cutoff: by closing the connection.
	Cutoff
)

// Entry is one entry of a recording. Kind says which fields it has.
type Entry struct {
	Kind Kind
	// At is when it was, since the Start entry. It only nearly grows from entry to entry: a
	// request is written when a handler begins with it, and was there before.
	At   time.Duration
	Conn reqchan.ConnID
	// Number names a request, and its Response.
	Number uint64

	// API is -1 when the frame is no request that is known; then nothing else is kept of it but
	// Bytes.
	API, APIVersion int16
	CorrelationID   int32
	ClientID        *string // nil: the client sent null
	// Bytes is the size of the whole frame, without the 4 bytes of its size; 0 for a Response that
	// is none.
	Bytes int
	Form  Form
	// Body is the request behind its header, as Form says. It is valid until the next call of
	// Reader.Next.
	Body []byte

	// Latency is from a request's arrival to its answer. What sending that took is not in it.
	Latency   time.Duration
	ErrorCode int16 // the first of the response; 0: none
	Answer    Answer

	Text       string
	ID         [16]byte
	Partitions int
	Lost       uint64

	Version  int       // of the format
	Time     time.Time // when the recording began
	Payloads bool      // Config.Payloads
	Software string    // what has written it
}

// append writes what of e is behind an entry's head.
func (e *Entry) append(b []byte) []byte {
	b = append(b, byte(e.Kind))
	switch e.Kind {
	case Start:
		b = binary.AppendUvarint(b, uint64(e.Version))
		b = binary.AppendVarint(b, e.Time.UnixNano())
		b = append(b, flag(e.Payloads))
		b = appendText(b, e.Software)
	case Opened, Closed:
		b = appendText(e.appendPlace(b), e.Text)
	case Request:
		b = binary.AppendUvarint(e.appendPlace(b), e.Number)
		b = appendOptional(e.appendAPI(b), e.ClientID)
		b = binary.AppendUvarint(b, uint64(e.Bytes))
		b = append(b, byte(e.Form))
		b = append(b, e.Body...)
	case Response:
		b = e.appendAPI(binary.AppendUvarint(e.appendPlace(b), e.Number))
		b = binary.AppendUvarint(b, uint64(e.Bytes))
		b = binary.AppendUvarint(b, uint64(max(e.Latency, 0)))
		b = binary.AppendVarint(b, int64(e.ErrorCode))
		b = append(b, byte(e.Answer))
	case Topic:
		b = append(appendText(b, e.Text), e.ID[:]...)
		b = binary.AppendUvarint(b, uint64(e.Partitions))
	case Lost:
		b = binary.AppendUvarint(b, e.Lost)
	case End:
		b = binary.AppendUvarint(appendText(b, e.Text), e.Number)
		b = binary.AppendUvarint(b, e.Lost)
	}
	return b
}

func (e *Entry) appendPlace(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(max(e.At, 0)))
	b = binary.AppendUvarint(b, uint64(e.Conn.Processor))
	return binary.AppendUvarint(b, e.Conn.Index)
}

func (e *Entry) appendAPI(b []byte) []byte {
	b = binary.AppendVarint(b, int64(e.API))
	b = binary.AppendVarint(b, int64(e.APIVersion))
	return binary.AppendVarint(b, int64(e.CorrelationID))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendOptional writes a text's length plus 1, or 0 for null.
func appendOptional(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(*s))+1), *s...)
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// errShort says that an entry ends before all of its fields.
var errShort = errors.New("it ends before all of its fields")

// fields reads what append has written. Its first fault stays.
type fields struct {
	left []byte
	err  error
}

func (f *fields) uint() uint64 { return number(f, binary.Uvarint) }

func (f *fields) int() int64 { return number(f, binary.Varint) }

func number[T int64 | uint64](f *fields, read func([]byte) (v T, n int)) T {
	v, n := read(f.left)
	if n <= 0 {
		f.left, f.err = nil, errShort
		return 0
	}
	f.left = f.left[n:]
	return v
}

// size is a length, which may not be larger than what an entry may be.
func (f *fields) size() int { return int(min(f.uint(), 1<<31-1)) }

// spanMost is the longest time in a file: sums of them do not overflow.
const spanMost = 10 * 366 * 24 * time.Hour

func (f *fields) span() time.Duration { return time.Duration(min(f.uint(), uint64(spanMost))) }

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.left)) {
		f.left, f.err = nil, errShort
		return nil
	}
	b := f.left[:n]
	f.left = f.left[n:]
	return b
}

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) text() string { return string(f.take(f.uint())) }

func (f *fields) optional() *string {
	n := f.uint()
	if n == 0 {
		return nil
	}
	s := string(f.take(n - 1))
	return &s
}

// parse reads e from what is behind an entry's head, which is not empty. Body lies in b.
func (e *Entry) parse(b []byte) error {
	*e = Entry{Kind: Kind(b[0])}
	f := &fields{left: b[1:]}
	switch e.Kind {
	case Start:
		e.Version = f.size()
		e.Time = time.Unix(0, f.int())
		e.Payloads = f.byte() != 0
		e.Software = f.text()
	case Opened, Closed:
		e.parsePlace(f)
		e.Text = f.text()
	case Request:
		e.parsePlace(f)
		e.Number = f.uint()
		e.parseAPI(f)
		e.ClientID = f.optional()
		e.Bytes, e.Form = f.size(), Form(f.byte())
		e.Body = f.left
	case Response:
		e.parsePlace(f)
		e.Number = f.uint()
		e.parseAPI(f)
		e.Bytes, e.Latency = f.size(), f.span()
		e.ErrorCode, e.Answer = int16(f.int()), Answer(f.byte())
	case Topic:
		e.Text = f.text()
		copy(e.ID[:], f.take(uint64(len(e.ID))))
		e.Partitions = f.size()
	case Lost:
		e.Lost = f.uint()
	case End:
		e.Text, e.Number, e.Lost = f.text(), f.uint(), f.uint()
	}
	return f.err
}

func (e *Entry) parsePlace(f *fields) {
	e.At = f.span()
	e.Conn.Processor, e.Conn.Index = uint32(f.uint()), f.uint()
}

func (e *Entry) parseAPI(f *fields) {
	e.API, e.APIVersion, e.CorrelationID = int16(f.int()), int16(f.int()), int32(f.int())
}
