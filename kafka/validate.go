package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// ElementsMaxDefault is how many array elements and unknown tags one request may have.
// It bounds what a decoder allocates, some tens of bytes for each, whatever the frame's
// size. A request for every partition of a big cluster stays far below.
const ElementsMaxDefault = 1 << 18

// Validate checks the structure of a request's body: every length and count is within
// the bytes that are there, and null only where it is allowed. size is how many bytes the
// body takes. Bytes behind it are not part of the request, and no decoder may see them
// (some clients send such bytes, and Apache Kafka ignores them). The time is at most
// proportional to the body, and nothing is allocated. kmsg decodes body[:size] without an
// error. elementsMax 0 means ElementsMaxDefault.
func Validate(key, version int16, body []byte, elementsMax int) (size int, err error) {
	if elementsMax == 0 {
		elementsMax = ElementsMaxDefault
	}
	size, _, f := validate(key, version, body, elementsMax)
	if f != nil {
		return 0, f
	}
	return size, nil
}

// validateResponse is Validate for the body of a response. How many elements there are is bounded by the
// bytes that they take, and by nothing else: Metadata of a big cluster has more than a request may.
func validateResponse(key, version int16, body []byte) (size int, err error) {
	d := describe(key)
	switch {
	case d == nil:
		return 0, faultUnknownAPI
	case version < 0 || version > d.max:
		return 0, faultVersion
	}
	s := &responseSchemas()[key][version]
	w := walker{reader: reader{left: body}, flexible: s.flexible, elements: len(body), whole: true}
	w.walk(s.nodes)
	if w.fault != nil {
		return 0, w.fault
	}
	return len(body) - len(w.left), nil
}

// DecodeResponse decodes the body of a response, once it is known to be one: what another server has sent is
// as little to be trusted as what a client has. It takes time and memory in proportion to the body. The key and
// the version are resp's.
func DecodeResponse(body []byte, resp kmsg.Response) error {
	size, err := validateResponse(resp.Key(), resp.GetVersion(), body)
	if err != nil {
		return err
	}
	return resp.ReadFrom(body[:size])
}

// validate also returns how many elements and tags there are.
func validate(key, version int16, body []byte, elementsMax int) (size, elements int, f *Fault) {
	d := describe(key)
	switch {
	case d == nil:
		return 0, 0, faultUnknownAPI
	case version < 0 || version > d.max:
		return 0, 0, faultVersion
	}
	s := &schemas()[key][version]
	w := walker{reader: reader{left: body}, flexible: s.flexible, elements: elementsMax}
	w.walk(s.nodes)
	return len(body) - len(w.left), elementsMax - w.elements, w.fault
}

// walker reads a body along a schema.
type walker struct {
	reader
	flexible bool
	elements int     // how many more there may be
	outcome  outcome // of a response
	whole    bool    // nothing that is found ends the walk
}

// walk ends at the first fault. Its depth is the schema's, not the body's.
func (w *walker) walk(nodes []node) {
	for i := range nodes {
		n := &nodes[i]
		switch n.op {
		case opFixed:
			w.take(n.size)
		case opString:
			w.span(w.stringLen(w.flexible), n.null)
		case opBytes:
			w.span(w.wideLen(w.flexible), n.null)
		case opArray:
			w.array(n)
		case opStruct:
			if b := w.take(1); b != nil && int8(b[0]) != -1 {
				w.walk(n.fields)
			}
		case opTags:
			w.tags(n.tags)
		case opError:
			w.code()
		case opThrottle:
			w.throttle()
		}
		if w.fault != nil {
			return
		}
	}
}

func (w *walker) array(n *node) {
	count := w.count(w.flexible, n.null, n.size)
	if !w.spend(count) {
		return
	}
	if len(n.fields) == 1 && n.fields[0].op == opFixed {
		w.take(count * n.size)
		return
	}
	for range count {
		w.walk(n.fields)
		if w.fault != nil {
			return
		}
	}
}

func (w *walker) tags(known []knownTag) {
	count := w.tagCount()
	if !w.spend(count) {
		return
	}
	for range count {
		key, value := w.tag()
		if w.fault != nil {
			return
		}
		for i := range known {
			if known[i].key == key {
				w.inside(value, known[i].fields)
			}
		}
	}
}

// inside walks the value of a known tag, which must be used up.
func (w *walker) inside(value []byte, fields []node) {
	after := w.left
	w.left = value
	w.walk(fields)
	if w.fault == nil && len(w.left) > 0 {
		w.fail(faultTagSize)
	}
	if w.fault == nil {
		w.left = after
	}
}

func (w *walker) spend(n int) bool {
	if n > w.elements {
		w.fail(faultElements)
		return false
	}
	w.elements -= n
	return w.fault == nil
}
