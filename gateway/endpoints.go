package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kring/kafka"
)

// Endpoint is a broker's address in a response.
type Endpoint struct {
	Node int32
	Host []byte // valid as long as the response
	Port int32
}

// errEndpoints says that a response can't be walked: an upstream that sends it is broken,
// or is not what it says that it is.
var errEndpoints = errors.New("gateway: the upstream's response ends inside a field, or a length in it is more than what is left")

// edit replaces response[from:to].
type edit struct {
	from, to int
	with     []byte
}

// hasEndpoints says whether responses of key in version may have addresses of brokers.
func hasEndpoints(key, version int16) bool {
	l, has := endpointLayouts[key]
	return has && version >= l.from
}

// endpointsLast says that what may be large in responses of key comes before the addresses.
func endpointsLast(key int16) bool {
	return key == keyProduce || key == keyFetch || key == keyShareFetch || key == keyShareAcknowledge
}

// rewriteEndpoints finds every address in a response (a payload, with its header) and asks
// to for what clients shall see instead. It copies nothing and steps over records. The
// edits are in the order of the response and do not overlap.
func rewriteEndpoints(key, version int16, response []byte, to func(Endpoint) kafka.Address) ([]edit, error) {
	if !hasEndpoints(key, version) {
		return nil, nil
	}
	flexible := kafka.HeaderVersion(key, version) == 2
	w := endpointWalker{whole: response, left: response, version: version, flexible: flexible, address: to}
	w.take(4)
	if flexible {
		w.skipTags()
	}
	l := endpointLayouts[key]
	w.structure(l.fields)
	if w.broken {
		return nil, fmt.Errorf("%w (API %d, version %d, %d bytes)", errEndpoints, key, version, len(response))
	}
	return w.edits, nil
}

// endpointWalker walks a response. After the first fault it is broken and has nothing left.
type endpointWalker struct {
	whole, left      []byte
	version          int16
	flexible, broken bool
	ended            bool // nothing more is looked at
	address          func(Endpoint) kafka.Address
	edits            []edit
}

func (w *endpointWalker) at() int { return len(w.whole) - len(w.left) }

func (w *endpointWalker) fail() { w.broken, w.ended, w.left = true, true, nil }

func (w *endpointWalker) take(n int) []byte {
	if n < 0 || n > len(w.left) {
		w.fail()
		return nil
	}
	b := w.left[:n]
	w.left = w.left[n:]
	return b
}

func (w *endpointWalker) int32() int32 {
	if b := w.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint reads an unsigned number of 32 bits.
func (w *endpointWalker) uvarint() int {
	x, n := binary.Uvarint(w.left[:min(len(w.left), binary.MaxVarintLen32)])
	if n <= 0 || x > 1<<32-1 {
		w.fail()
		return 0
	}
	w.left = w.left[n:]
	return int(x)
}

// length reads a length in front of text (wide: of bytes or a list); -1 is null.
func (w *endpointWalker) length(wide bool) int {
	switch {
	case w.flexible:
		return w.uvarint() - 1
	case wide:
		return int(w.int32())
	}
	if b := w.take(2); b != nil {
		return int(int16(binary.BigEndian.Uint16(b)))
	}
	return 0
}

func (w *endpointWalker) skip(wide bool) []byte { return w.take(max(0, w.length(wide))) }

// structure walks fields, and the tag section that ends them in flexible versions.
func (w *endpointWalker) structure(fields []field) {
	for i := range fields {
		f := &fields[i]
		if w.ended {
			return
		}
		if f.kind != aTag && f.in(w.version) {
			w.field(f)
		}
	}
	if w.flexible && !w.ended {
		w.tags(fields)
	}
}

func (w *endpointWalker) field(f *field) {
	switch f.kind {
	case aNumber:
		w.take(f.size)
	case aText:
		w.skip(false)
	case aRecords:
		w.skip(true)
	case aList:
		n := w.length(true)
		if n > len(w.left) { // an element has a byte at least
			w.fail()
		}
		for i := 0; i < n && !w.ended; i++ {
			w.structure(f.fields)
		}
	case aStructure:
		w.structure(f.fields)
	case anEndpoint:
		w.endpoint()
	case theRest:
		w.ended = true
	}
}

func (w *endpointWalker) skipTags() { w.tags(nil) }

// tags walks a tag section. A tag that is known is walked inside: when an address in it
// gets another length, so does the tag.
func (w *endpointWalker) tags(known []field) {
	for n := w.uvarint(); n > 0 && !w.ended; n-- {
		tag := uint32(w.uvarint())
		sizeAt := w.at()
		size := w.uvarint()
		valueAt := w.at()
		if w.take(size) == nil && size > 0 {
			return
		}
		for i := range known {
			if k := &known[i]; k.kind == aTag && k.tag == tag && !w.broken {
				w.inTag(k, sizeAt, valueAt, size)
			}
		}
	}
}

// inTag walks the value of a tag, which ends with the last field.
func (w *endpointWalker) inTag(f *field, sizeAt, valueAt, size int) {
	behind, whole, before := w.left, w.whole, len(w.edits)
	w.whole, w.left = whole[:valueAt+size], whole[valueAt:valueAt+size]
	for i := range f.fields {
		w.field(&f.fields[i])
	}
	if len(w.left) > 0 {
		w.fail()
	}
	if w.broken {
		return
	}
	w.whole, w.left = whole, behind
	grown := size
	for _, e := range w.edits[before:] {
		grown += len(e.with) - (e.to - e.from)
	}
	if grown != size {
		w.edits = append(w.edits, edit{})
		copy(w.edits[before+1:], w.edits[before:])
		w.edits[before] = edit{sizeAt, valueAt, binary.AppendUvarint(nil, uint64(grown))}
	}
}

// endpoint asks for the address of one broker. Node -1 with an empty host means that there
// is none (FindCoordinator), and stays.
func (w *endpointWalker) endpoint() {
	e := Endpoint{Node: w.int32()}
	from := w.at()
	e.Host = w.skip(false)
	e.Port = w.int32()
	if w.broken || e.Node == -1 && len(e.Host) == 0 {
		return
	}
	a := w.address(e)
	if a.Host == string(e.Host) && a.Port == e.Port {
		return
	}
	with := make([]byte, 0, len(a.Host)+7)
	if w.flexible {
		with = binary.AppendUvarint(with, uint64(len(a.Host)+1))
	} else {
		with = binary.BigEndian.AppendUint16(with, uint16(len(a.Host)))
	}
	with = append(with, a.Host...)
	w.edits = append(w.edits, edit{from, w.at(), binary.BigEndian.AppendUint32(with, uint32(a.Port))})
}

// grownBy is how many bytes a response gets longer by edits.
func grownBy(edits []edit) (n int) {
	for _, e := range edits {
		n += len(e.with) - (e.to - e.from)
	}
	return n
}

// appendEdited appends a response with edits made.
func appendEdited(dst, response []byte, edits []edit) []byte {
	at := 0
	for _, e := range edits {
		dst = append(append(dst, response[at:e.from]...), e.with...)
		at = e.to
	}
	return append(dst, response[at:]...)
}

// editTail makes edits in the memory of response, which has room for it. Only what lies
// behind the first edit moves.
func editTail(response []byte, edits []edit) []byte {
	from := edits[0].from
	for i := range edits {
		edits[i].from -= from
		edits[i].to -= from
	}
	return append(response[:from], appendEdited(nil, response[from:], edits)...)
}
