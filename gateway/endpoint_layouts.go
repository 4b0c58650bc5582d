package gateway

// endpointLayouts is, by key, where responses have hosts and ports of brokers, in every
// version that has any: all fields up to the last of them. Everything else that has a host
// or a port is named in TestEveryHostAndPortIsDecidedAbout, with why it stays as it is.
var endpointLayouts = map[int16]endpointLayout{
	keyProduce: {from: 10, fields: []field{ // KIP-951
		list(text.to(12), uuid.from(13), list(number(4+2+8+8+8), list(number(4), text), text)),
		number(4), tagged(0, list(endpoint, text))}},
	keyFetch: {from: 16, fields: []field{ // KIP-951
		number(4 + 2 + 4),
		list(uuid, list(number(4+2+8+8+8), list(number(8+8)), number(4), records)),
		tagged(0, list(endpoint, text))}},
	keyMetadata: {fields: []field{number(4).from(3), list(endpoint, text.from(1)), rest}},
	keyFindCoordinator: {fields: []field{
		number(4).from(1), number(2).to(3), text.from(1).to(3), endpoint.to(3),
		list(text, endpoint, number(2), text).from(4)}},
	keyDescribeCluster: {fields: []field{
		number(4 + 2), text, number(1).from(1), text, number(4),
		list(endpoint, text, number(1).from(2)), rest}},
	keyShareFetch: {fields: []field{
		number(4 + 2), text, number(4).from(1),
		list(uuid, list(number(4+2), text, number(2), text, structure(number(4+4)), records, list(number(8+8+2)))),
		list(endpoint, text), rest}},
	keyShareAcknowledge: {fields: []field{
		number(4 + 2), text, number(4).from(2),
		list(uuid, list(number(4+2), text, structure(number(4+4)))),
		list(endpoint, text), rest}},
}

type endpointLayout struct {
	from   int16 // the first version with an endpoint
	fields []field
}

type fieldKind uint8

const (
	aNumber    fieldKind = iota // size bytes: a number, or several
	aText                       // a string, which may be null
	aRecords                    // bytes with a wide length, which may be null: skipped
	aList                       // elements, each a structure of fields; it may be null
	aStructure                  // fields, and in flexible versions tags
	anEndpoint                  // a node id, its host and its port
	aTag                        // fields in the tag section of the structure around it
	theRest                     // nothing behind it is looked at
)

// field is one step through a response.
type field struct {
	kind          fieldKind
	size          int    // aNumber
	tag           uint32 // aTag
	fields        []field
	first, beyond int16 // the versions that have it; beyond 0: there is no last
}

var (
	text     = field{kind: aText}
	records  = field{kind: aRecords}
	uuid     = field{kind: aNumber, size: 16}
	endpoint = field{kind: anEndpoint}
	rest     = field{kind: theRest}
)

func number(size int) field               { return field{kind: aNumber, size: size} }
func list(fields ...field) field          { return field{kind: aList, fields: fields} }
func structure(fields ...field) field     { return field{kind: aStructure, fields: fields} }
func tagged(tag uint32, f ...field) field { return field{kind: aTag, tag: tag, fields: f} }

// from and to are f, there from version v on, and up to version v.
func (f field) from(v int16) field { f.first = v; return f }
func (f field) to(v int16) field   { f.beyond = v + 1; return f }

func (f *field) in(version int16) bool {
	return version >= f.first && (f.beyond == 0 || version < f.beyond)
}

// API keys that code here names.
const (
	keyProduce          = 0
	keyFetch            = 1
	keyMetadata         = 3
	keyFindCoordinator  = 10
	keyDescribeCluster  = 60
	keyShareFetch       = 78
	keyShareAcknowledge = 79
)
