package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// description is the layout of the requests of one API, in every version. Those of responses are in the
// same notation.
//
// The notation of body, field after field as on the wire:
//
//	1 2 4 8    a number of so many bytes (1 is a boolean, too)
//	u          a UUID
//	s b        a string, bytes
//	[x]        an array of x
//	{x y}      a struct
//	?{x y}     a struct that may be null
//	#3 x       tag 3 of the struct around it
//	…?         may be null; …?7+ from version 7 on
//	…:2+ …:2-5 only there from version 2 on, in versions 2 to 5
//	e t        in responses: an error code (2 bytes), a throttle time (4)
//
// From version flexible on strings, bytes and arrays have their compact form
// and every struct, and the body itself, ends in a tag section. The table is
// derived from kmsg's decoders (internal/schemagen).
type description struct {
	key      int16
	name     string
	flexible int16 // the first flexible version
	max      int16 // the last version
	body     string
}

// neverFlexible is the first flexible version of an API that has none.
const neverFlexible = 1<<15 - 1

// describe returns the description of key, nil if there is none.
func describe(key int16) *description {
	if key < 0 || int(key) >= len(descriptions) {
		return nil
	}
	return &descriptions[key] // the table has no gaps; a test checks that
}

// op is what a node of a schema reads.
type op uint8

const (
	opFixed    op = iota // size bytes
	opString             // a string
	opBytes              // bytes with a wide length
	opArray              // elements, each as fields say
	opStruct             // one byte of presence, then fields
	opTags               // a tag section; tags are the known ones
	opError              // an error code
	opThrottle           // a throttle time
)

// node is one step through the body of a request or response.
type node struct {
	op     op
	null   bool
	size   int // opFixed: bytes; opArray: the least bytes of an element
	fields []node
	tags   []knownTag
}

type knownTag struct {
	key    uint32
	fields []node
}

// schema is one API in one version, ready to be walked.
type schema struct {
	flexible bool
	nodes    []node
	// Of a response: how many nodes there are up to the last with an error code
	// in it, and up to the throttle time.
	toErrors, toThrottle int
}

// schemas holds all of them, by key and version.
var schemas = sync.OnceValue(func() [][]schema {
	all := make([][]schema, len(descriptions))
	for i := range descriptions {
		d := &descriptions[i]
		for v := int16(0); v <= d.max; v++ {
			all[i] = append(all[i], d.compile(v))
		}
	}
	return all
})

func (d *description) compile(version int16) schema {
	c := compiler{text: d.body, version: int(version), flexible: version >= d.flexible}
	nodes := c.structure()
	if c.at != len(c.text) {
		c.fail("end")
	}
	return schema{flexible: c.flexible, nodes: nodes, toErrors: upTo(nodes, opError), toThrottle: upTo(nodes, opThrottle)}
}

// upTo counts nodes up to the last that is o, or contains it.
func upTo(nodes []node, o op) int {
	n := len(nodes)
	for n > 0 && !nodes[n-1].has(o) {
		n--
	}
	return n
}

func (n *node) has(o op) bool {
	return n.op == o || upTo(n.fields, o) > 0 ||
		slices.ContainsFunc(n.tags, func(t knownTag) bool { return upTo(t.fields, o) > 0 })
}

// responseSchemas is the same for responses.
var responseSchemas = sync.OnceValue(func() [][]schema {
	all := make([][]schema, len(descriptions))
	for i := range descriptions {
		d := descriptions[i]
		d.body = responses[d.key]
		for v := int16(0); v <= d.max; v++ {
			all[i] = append(all[i], d.compile(v))
		}
	}
	return all
})

// compiler reads a description's body for one version. A mistake in that text is a
// broken invariant.
type compiler struct {
	text     string
	at       int
	version  int
	flexible bool
}

func (c *compiler) fail(want string) {
	panic(fmt.Sprintf("kring: broken invariant: schema %q: %s expected at %d", c.text, want, c.at))
}

func (c *compiler) peek() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

func (c *compiler) accept(b byte) bool {
	if c.peek() != b {
		return false
	}
	c.at++
	return true
}

func (c *compiler) expect(b byte) {
	if !c.accept(b) {
		c.fail(string(b))
	}
}

func (c *compiler) number() int {
	start := c.at
	for c.peek() >= '0' && c.peek() <= '9' {
		c.at++
	}
	n, err := strconv.Atoi(c.text[start:c.at])
	if err != nil {
		c.fail("number")
	}
	return n
}

// structure reads fields up to the end of a struct, and ends them with the tag
// section if there is one.
func (c *compiler) structure() []node {
	var nodes []node
	var tags []knownTag
	for c.at < len(c.text) && c.peek() != '}' {
		if c.accept('#') {
			key := c.number()
			c.expect(' ')
			tags = append(tags, knownTag{uint32(key), c.value()})
		} else {
			nodes = join(nodes, c.value())
		}
		c.accept(' ')
	}
	if c.flexible {
		nodes = append(nodes, node{op: opTags, tags: tags})
	}
	return nodes
}

// value reads one field; no node in a version that lacks the field.
func (c *compiler) value() []node {
	b := c.peek()
	c.at++
	var n node
	switch b {
	case '1', '2', '4', '8':
		n = node{op: opFixed, size: int(b - '0')}
	case 'u':
		n = node{op: opFixed, size: 16}
	case 'e':
		n.op = opError
	case 't':
		n.op = opThrottle
	case 's':
		n.op = opString
	case 'b':
		n.op = opBytes
	case '[':
		n.op, n.fields = opArray, c.value()
		n.size = max(1, c.least(n.fields))
		c.expect(']')
	case '?':
		c.expect('{')
		n.op, n.fields = opStruct, c.structure()
		c.expect('}')
	case '{':
		fields := c.structure()
		c.expect('}')
		return c.present(fields)
	default:
		c.fail("field")
	}
	if c.accept('?') {
		n.null = true
		if d := c.peek(); d >= '0' && d <= '9' {
			n.null = c.version >= c.number()
			c.expect('+')
		}
	}
	return c.present([]node{n})
}

// present reads the versions behind a field and drops it in all others.
func (c *compiler) present(nodes []node) []node {
	if !c.accept(':') {
		return nodes
	}
	from := c.number()
	if c.accept('+') {
		if c.version >= from {
			return nodes
		}
		return nil
	}
	c.expect('-')
	if to := c.number(); c.version >= from && c.version <= to {
		return nodes
	}
	return nil
}

// least is the least number of bytes that nodes take.
func (c *compiler) least(nodes []node) int {
	sum := 0
	for i := range nodes {
		switch n := &nodes[i]; {
		case n.op == opFixed:
			sum += n.size
		case n.op == opString && !c.flexible:
			sum += 2
		case (n.op == opBytes || n.op == opArray) && !c.flexible:
			sum += 4
		default:
			sum++
		}
	}
	return sum
}

// join appends fields, neighbouring numbers as one step.
func join(nodes, more []node) []node {
	for _, n := range more {
		if k := len(nodes); n.op == opFixed && k > 0 && nodes[k-1].op == opFixed {
			nodes[k-1].size += n.size
		} else {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
