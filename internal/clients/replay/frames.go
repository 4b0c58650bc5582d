// Package replay keeps request frames that real clients sent, one for each shape.
//
// Job. A client's request may have what kmsg would not encode: bytes behind the body, a
// null where another client sends nothing, a version that only that client uses. So
// frames are recorded from clients (scripts/versions.sh -r) and sent again in a test:
// none may be answered by a close.
//
// Flow. Read parses a file of frames, one a line: the API's name, the version,
// the id of the client that sent it and the request in hex without its size.
// Shape is what two frames have in common that need not both be kept: API and
// version, which fields are null, empty or set, and how many bytes stand behind
// the body. Set keeps the shortest frame of each shape.
//
// Ownership. A Set belongs to its caller and has a lock of its own; frames are
// never changed.
//
// Never. It does not judge a response: only whether a frame is answered counts.
//
// Kernel. Nothing of its own.
package replay

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Frame is one request without its size.
type Frame struct {
	// Key and Version are the API's.
	Key, Version int16
	// Client is the client id that it was sent with.
	Client string
	// Payload is the header and the body.
	Payload []byte
}

// Parse reads a frame's header up to and with the client id.
func Parse(payload []byte) (Frame, error) {
	if len(payload) < 10 {
		return Frame{}, fmt.Errorf("a request of %d bytes has no header", len(payload))
	}
	f := Frame{
		Key: int16(binary.BigEndian.Uint16(payload)), Version: int16(binary.BigEndian.Uint16(payload[2:])),
		Payload: payload,
	}
	if n := int(int16(binary.BigEndian.Uint16(payload[8:]))); n > 0 {
		if len(payload) < 10+n {
			return Frame{}, fmt.Errorf("a client id of %d bytes does not fit a request of %d", n, len(payload))
		}
		f.Client = string(payload[10 : 10+n])
	}
	return f, nil
}

// Correlation is the number that the answer must have.
func (f Frame) Correlation() int32 { return int32(binary.BigEndian.Uint32(f.Payload[4:])) }

// body is what stands behind the header, or nil where that can't be told.
func (f Frame) body() (kmsg.Request, []byte) {
	req := kmsg.RequestForKey(f.Key)
	if req == nil || f.Version > req.MaxVersion() {
		return nil, nil
	}
	req.SetVersion(f.Version)
	rest := f.Payload[10+len(f.Client):]
	if req.IsFlexible() {
		// The header's tagged fields: clients send none.
		if len(rest) == 0 || rest[0] != 0 {
			return nil, nil
		}
		rest = rest[1:]
	}
	return req, rest
}

// Shape is equal for frames of which one is enough.
func (f Frame) Shape() string {
	name := fmt.Sprintf("%d v%d ", f.Key, f.Version)
	req, body := f.body()
	if req == nil {
		return name + "unknown, " + strconv.Itoa(len(f.Payload)) + " bytes"
	}
	if err := req.ReadFrom(body); err != nil {
		return name + "unreadable, " + strconv.Itoa(len(f.Payload)) + " bytes"
	}
	again := req.AppendTo(nil)
	trailing := "other bytes than ours"
	if len(body) >= len(again) && string(body[:len(again)]) == string(again) {
		trailing = fmt.Sprintf("%x behind", body[len(again):])
	}
	return name + skeleton(req) + trailing
}

// NoAnswer says that the client did not want one: Produce with acks 0.
func (f Frame) NoAnswer() bool {
	req, body := f.body()
	produce, ok := req.(*kmsg.ProduceRequest)
	return ok && produce.ReadFrom(body) == nil && produce.Acks == 0
}

// String names a frame for people.
func (f Frame) String() string {
	return fmt.Sprintf("%s v%d of %s", kmsg.NameForKey(f.Key), f.Version, f.Client)
}

// Set is the shortest frame of each shape. It may be used by many goroutines.
type Set struct {
	mu     sync.Mutex
	frames map[string]Frame
}

// frameBytesMax is the longest frame that is kept: shapes do not need more.
const frameBytesMax = 8 << 10

// Add keeps a frame if its shape is new, or it is shorter than what is kept.
func (s *Set) Add(f Frame) {
	if len(f.Payload) > frameBytesMax {
		return
	}
	shape := f.Shape()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames == nil {
		s.frames = map[string]Frame{}
	}
	if old, ok := s.frames[shape]; !ok || len(f.Payload) < len(old.Payload) {
		s.frames[shape] = f
	}
}

// All lists the frames by API, version, length and content.
func (s *Set) All() []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Frame
	for _, f := range s.frames {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Frame) int {
		for _, d := range []int{int(a.Key) - int(b.Key), int(a.Version) - int(b.Version), len(a.Payload) - len(b.Payload)} {
			if d != 0 {
				return d
			}
		}
		return strings.Compare(string(a.Payload), string(b.Payload))
	})
	return all
}

// Write writes the frames as Read reads them.
func (s *Set) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# Request frames that clients sent, without their size: API, version, client id, hex.")
	fmt.Fprintln(out, "# Recorded by scripts/versions.sh -r from runs of its own; the shortest of each shape.")
	for _, f := range s.All() {
		fmt.Fprintf(out, "%s v%d %s %x\n", kmsg.NameForKey(f.Key), f.Version, strings.ReplaceAll(f.Client, " ", "_"), f.Payload)
	}
	return out.Flush()
}

// Read adds the frames of a file.
func (s *Set) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		payload, err := hex.DecodeString(line[strings.LastIndexByte(line, ' ')+1:])
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		f, err := Parse(payload)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		s.Add(f)
	}
	return lines.Err()
}
