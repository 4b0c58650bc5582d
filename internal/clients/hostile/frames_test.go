package hostile

import "kring/internal/clients/raw"

// tagsClaimed is the unsigned varint of 2^32-1.
var tagsClaimed = []byte{0xff, 0xff, 0xff, 0xff, 0x0f}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// lie is a frame that must end its connection.
type lie struct {
	name   string
	reason string // the name it is counted under
	bytes  []byte
}

var lies = []lie{
	{"a frame of 2 GiB less one byte", "frame_too_big", []byte{0x7f, 0xff, 0xff, 0xff}},
	{"a frame of 2 GiB, which is a negative size", "frame_size_negative", []byte{0x80, 0, 0, 0}},
	{"a frame of -1 bytes", "frame_size_negative", []byte{0xff, 0xff, 0xff, 0xff}},
	{"an empty frame", "header_malformed", raw.Frame(nil)},
	{"a frame that ends inside its header", "header_malformed", raw.Frame([]byte{0, 18, 0})},
	{"a client id longer than the frame", "header_malformed", raw.Frame([]byte{0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff})},
	{"an unknown API key", "unknown_api", raw.Frame(raw.Header(9999, 0, 1))},
	{"a negative API key", "unknown_api", raw.Frame(raw.Header(-1, 0, 1))},
	{"a version nobody has", "unsupported_version", raw.Frame(raw.Header(raw.KeyMetadata, 99, 1))},
	{"a header of 2^32-1 tags, asking for versions", "header_malformed", raw.Frame(join(raw.Header(raw.KeyApiVersions, 3, 1), tagsClaimed))},
	{"a header of 2^32-1 tags, producing", "header_malformed", raw.Frame(join(raw.Header(raw.KeyProduce, 9, 1), tagsClaimed))},
	{"a body of 2^32-1 tags", "body_malformed", raw.Frame(join(raw.Header(raw.KeyApiVersions, 3, 1), []byte{0, 2, 'a', 2, '1'}, tagsClaimed))},
}
