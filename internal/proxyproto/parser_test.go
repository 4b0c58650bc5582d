package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// v2 makes a header: command and version, family and transport, the rest.
func v2(command, family byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	b := append([]byte(signature2), command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(all))), all...)
}

func tlv(kind byte, value string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

// summed fills the checksum in, whose value is all zero.
func summed(b []byte) []byte {
	at := bytes.Index(b, tlv(TLVCRC32C, "\x00\x00\x00\x00"))
	binary.BigEndian.PutUint32(b[at+tlvHead:], crc32.Checksum(b, castagnoli))
	return b
}

var (
	inet  = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x23, 0x84} // 192.0.2.1:12345 to 198.51.100.2:9092
	inet6 = append(append(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("2001:db8::2").AsSlice()...), 0x30, 0x39, 0x23, 0x84)
	paths = append(append([]byte("/run/client.sock"), make([]byte, unixPathBytes-16)...), append([]byte("\x00server"), make([]byte, unixPathBytes-7)...)...)
)

// taken reads b as one piece.
func taken(b []byte) (int, *Header, error) { return new(Parser).Take(b) }

// inPieces reads b in pieces of the given sizes, one after the other and round again.
func inPieces(b []byte, sizes []byte) (n int, h *Header, err error) {
	var p Parser
	for i := 0; len(b) > 0 && h == nil && err == nil; i++ {
		piece := b
		if len(sizes) > 0 {
			piece = b[:min(len(b), 1+int(sizes[i%len(sizes)]))]
		}
		var took int
		took, h, err = p.Take(piece)
		n, b = n+took, b[len(piece):]
	}
	return n, h, err
}

func TestHeadersAreRead(t *testing.T) {
	four := func(h Header) Header {
		h.Source, h.Destination = netip.MustParseAddrPort("192.0.2.1:12345"), netip.MustParseAddrPort("198.51.100.2:9092")
		return h
	}
	six := func(h Header) Header {
		h.Source, h.Destination = netip.MustParseAddrPort("[2001:db8::1]:12345"), netip.MustParseAddrPort("[2001:db8::2]:9092")
		return h
	}
	for name, c := range map[string]struct {
		bytes string
		want  Header
	}{
		"v1 TCP4":            {"PROXY TCP4 192.0.2.1 198.51.100.2 12345 9092\r\n", four(Header{Version: 1})},
		"v1 TCP6":            {"PROXY TCP6 2001:db8::1 2001:db8::2 12345 9092\r\n", six(Header{Version: 1})},
		"v1 TCP6 mapped":     {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 12345 9092\r\n", four(Header{Version: 1})},
		"v1 UNKNOWN":         {"PROXY UNKNOWN\r\n", Header{Version: 1, ForItself: true}},
		"v1 UNKNOWN, longer": {"PROXY UNKNOWN ffff:f...f:ffff anything 65535 65535\r\n", Header{Version: 1, ForItself: true}},
		"v2 TCP4":            {string(v2(0x21, 0x11, inet)), four(Header{Version: 2})},
		"v2 TCP6":            {string(v2(0x21, 0x21, inet6)), six(Header{Version: 2})},
		"v2 UNIX":            {string(v2(0x21, 0x31, paths)), Header{Version: 2, SourcePath: "/run/client.sock", DestinationPath: "@server"}},
		"v2 LOCAL":           {string(v2(0x20, 0x00)), Header{Version: 2, ForItself: true}},
		"v2 LOCAL, longer":   {string(v2(0x20, 0xff, []byte("anything"))), Header{Version: 2, ForItself: true}},
		"v2 UNSPEC":          {string(v2(0x21, 0x00)), Header{Version: 2, ForItself: true}},
		"v2 UDP4":            {string(v2(0x21, 0x12, inet)), Header{Version: 2, ForItself: true}},
		"v2 TLVs":            {string(v2(0x21, 0x11, inet, tlv(TLVAuthority, "a.example"), tlv(0xea, ""))), four(Header{Version: 2, tlvs: append(tlv(TLVAuthority, "a.example"), tlv(0xea, "")...)})},
		"v2 checksum": {string(summed(v2(0x21, 0x11, inet, tlv(TLVNoop, "pad"), tlv(TLVCRC32C, "\x00\x00\x00\x00"), tlv(TLVUniqueID, "7")))),
			four(Header{Version: 2})},
		"v2, longest": {string(v2(0x21, 0x11, inet, tlv(TLVNoop, strings.Repeat("x", BytesMax-fixedBytes-12-tlvHead)))), four(Header{Version: 2})},
	} {
		for _, sizes := range [][]byte{nil, {0}, {4, 90}} {
			n, h, err := inPieces(append([]byte(c.bytes), "behind"...), sizes)
			if err != nil || h == nil || n != len(c.bytes) {
				t.Errorf("%s, pieces %v: took %d of %d bytes, %v, %v", name, sizes, n, len(c.bytes), h, err)
				continue
			}
			got := *h
			if c.want.tlvs == nil {
				got.tlvs = nil
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, pieces %v: %+v, want %+v", name, sizes, got, c.want)
			}
		}
	}
}

func TestMalformedHeadersSayWhatIsWrong(t *testing.T) {
	long := v2(0x21, 0x11, inet, make([]byte, BytesMax-fixedBytes-len(inet)+1))
	wrong := summed(v2(0x21, 0x11, inet, tlv(TLVCRC32C, "\x00\x00\x00\x00")))
	wrong[len(wrong)-1] ^= 1
	other := append([]byte(signature2), 0x31, 0x11, 0, 0)
	for bad, says := range map[string]string{
		"GET / HTTP/1.1\r\n":                                         "does not begin with",
		"PROXX":                                                      "does not begin with",
		"\x00\x00\x00\x01":                                           "does not begin with",
		"\x16\x03\x01":                                               "does not begin with",
		"\r\n\r\n\x00\r\nQUIX":                                       "does not begin with",
		"PROXY TCP5 1 2 3 4\r\n":                                     `"TCP5"`,
		"PROXY \r\n":                                                 "TCP4, TCP6 and UNKNOWN",
		"PROXY TCP4 192.0.2.1 1 2\n":                                 "CRLF",
		"PROXY TCP4 192.0.2.1 1 2\r\n":                               "5 words",
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n":                    "source address",
		"PROXY TCP4 ::1 192.0.2.2 1 2\r\n":                           "source address",
		"PROXY TCP6 ::1 192.0.2.2 1 2\r\n":                           "destination address",
		"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n":                        "source address",
		"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n":                 "source port",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n":                    "destination port",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n":                    "destination port",
		"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n":                    "7 words",
		"PROXY UNKNOWN" + strings.Repeat(" ", 95):                    "first 107 bytes",
		string(other):                                                "version is 3",
		string(v2(0x22, 0x11, inet)):                                 "command is 2",
		string(v2(0x21, 0x41, inet)):                                 "0x41",
		string(v2(0x21, 0x13, inet)):                                 "0x13",
		string(v2(0x21, 0x11, inet[:11])):                            "11 bytes for addresses that need 12",
		string(v2(0x21, 0x21, inet)):                                 "need 36",
		string(v2(0x21, 0x31, inet)):                                 "need 216",
		string(v2(0x21, 0x11, inet, []byte{4, 0})):                   "2 bytes are left",
		string(v2(0x21, 0x11, inet, []byte{4, 0, 9, 1})):             "has 9 bytes, and 1 are left",
		string(v2(0x21, 0x11, inet, tlv(3, "abc"))):                  "checksum has 3 bytes",
		string(v2(0x21, 0x11, inet, tlv(3, "abcd"), tlv(3, "abcd"))): "two checksums",
		string(long):                                                 "are the most",
		string(wrong):                                                "checksum is 0x",
	} {
		for _, sizes := range [][]byte{nil, {0}, {16}} {
			_, h, err := inPieces([]byte(bad), sizes)
			missing := strings.HasPrefix(says, "does not")
			var malformed *MalformedError
			if h != nil || err == nil || !strings.Contains(err.Error(), says) || missing != errors.Is(err, ErrMissing) || missing == errors.As(err, &malformed) {
				t.Errorf("%q, pieces %v: %v, %v; want an error with %q", bad, sizes, h, err, says)
			}
		}
	}
}

// TestNothingIsTakenBeforeItsLengthIsKnown: a header that has only begun holds nothing, and
// a long one no more than it said.
func TestNothingIsTakenBeforeItsLengthIsKnown(t *testing.T) {
	long := v2(0x21, 0x11, inet, tlv(TLVNoop, strings.Repeat("x", 500)))
	var p Parser
	for i := range len(long) - 1 {
		if n, h, err := p.Take(long[i : i+1]); n != 1 || h != nil || err != nil {
			t.Fatalf("byte %d: took %d, %v, %v", i, n, h, err)
		}
		if most := p.Memory(); i < fixedBytes-1 && most != 0 || most > len(long) {
			t.Fatalf("%d bytes are held after %d", most, i+1)
		}
	}
	one := new(Parser)
	whole := testing.AllocsPerRun(100, func() { _, _, _ = one.Take(v2One) })
	if whole > 1 { // the Header
		t.Errorf("%v allocations for a header in one piece", whole)
	}
}

var v2One = v2(0x21, 0x11, inet)

func TestTLVsAreKept(t *testing.T) {
	_, h, err := taken(v2(0x21, 0x11, inet, tlv(TLVALPN, "kafka"), tlv(0xea, "\x01vpce-1"), tlv(0xea, "second")))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := h.TLV(0xea); !ok || string(v) != "\x01vpce-1" {
		t.Errorf("%q, %v", v, ok)
	}
	if v, ok := h.TLV(TLVSSL); ok {
		t.Errorf("%q of one that is not there", v)
	}
	var kinds []byte
	for kind := range h.TLVs() {
		kinds = append(kinds, kind)
	}
	if !bytes.Equal(kinds, []byte{TLVALPN, 0xea, 0xea}) {
		t.Errorf("types %x", kinds)
	}
}

// TestASnifferKnowsAHeaderByItsFirstBytes, and keeps what else came.
func TestASnifferKnowsAHeaderByItsFirstBytes(t *testing.T) {
	for in, header := range map[string]bool{
		"PROXY TCP4 ": true, string(v2One): true, "\x00\x00\x00\x01x": false, "\x16\x03\x01": false,
		"PROXIMITY": false, "\r\n\r\n\x00\r\nQUIET": false, "P": false, "\r\n\r\n": false,
	} {
		for _, size := range []int{1, 3, 100} {
			var s Sniffer
			is, decided, rest := false, false, []byte(in)
			for len(rest) > 0 && !decided {
				piece := rest[:min(size, len(rest))]
				if is, decided = s.Look(piece); !decided {
					rest = rest[len(piece):]
				}
			}
			if is != header || !is && string(s.Seen())+string(rest) != in {
				t.Errorf("%q, pieces of %d: %v, seen %q and %q", in, size, is, s.Seen(), rest)
			}
		}
	}
}

// FuzzProxyHeader holds any split of the bytes against the whole: the same header, the same
// number of bytes, the same error.
func FuzzProxyHeader(f *testing.F) {
	for _, seed := range [][]byte{
		[]byte("PROXY TCP4 192.0.2.1 198.51.100.2 12345 9092\r\nbehind"), []byte("PROXY UNKNOWN\r\n"), []byte("PROXY TCP6 ::1 ::2 1 2\r\n"),
		v2One, v2(0x20, 0), v2(0x21, 0x31, paths), v2(0x21, 0x21, inet6),
		summed(v2(0x21, 0x11, inet, tlv(TLVCRC32C, "\x00\x00\x00\x00"), tlv(0xea, "value"))), []byte("GET / HTTP/1.1\r\n"),
	} {
		f.Add(seed, []byte{0})
		f.Add(seed, []byte{11, 3, 100})
	}
	f.Fuzz(func(t *testing.T, b, sizes []byte) {
		n, h, err := taken(b)
		if n > len(b) || n > BytesMax || h != nil && err != nil || h != nil && h.Memory() > n {
			t.Fatalf("took %d of %d bytes, %v, %v", n, len(b), h, err)
		}
		m, split, splitErr := inPieces(b, sizes)
		switch {
		case (err == nil) != (splitErr == nil) || err != nil && err.Error() != splitErr.Error():
			t.Fatalf("whole: %v; in pieces: %v", err, splitErr)
		case err == nil && (n != m || !reflect.DeepEqual(h, split)):
			t.Fatalf("whole: %d bytes, %+v; in pieces: %d bytes, %+v", n, h, m, split)
		}
		if h == nil {
			return
		}
		if h.ForItself == (h.Source.IsValid() || h.SourcePath != "" || h.DestinationPath != "") && (h.ForItself || h.Version == 1) {
			t.Fatalf("%+v says who its client is, and does not", h)
		}
		for range h.TLVs() { // must end
		}
	})
}
