package reqchan

import (
	"net/netip"
	"testing"
)

// Kafka: ServerConnectionIdTest.
func TestConnectionNamesComeBackFromTheirStrings(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1:9092-10.0.0.7:50123-0-0",
		"[::1]:9092-[2001:db8::7]:50123-3-18446744073709551615",
		"[fe80::1%eth-0]:9092-[fe80::2%eth-0]:50123-1-2",
	} {
		if n, err := ParseConnName(s); err != nil || n.String() != s {
			t.Errorf("%s: %s, %v", s, n, err)
		}
	}
	n, err := ParseConnName("0:0:0:0:0:0:0:1:9092-::1:50123-1-2") // as Kafka writes it
	if err != nil || n.Local != netip.MustParseAddrPort("[::1]:9092") || n.ID != (ConnID{1, 2}) {
		t.Errorf("%v, %v", n, err)
	}
	for _, s := range []string{
		"", "-", "---", "1-2", "127.0.0.1:9092-1-2", "127.0.0.1:9092-127.0.0.1:1-1", "127.0.0.1:9092-127.0.0.1:1-1-2-3",
		"127.0.0.1-127.0.0.1:1-1-2", "127.0.0.1:9092-127.0.0.1:1--1-2", "127.0.0.1:9092-127.0.0.1:1-1-x",
		"127.0.0.1:99999-127.0.0.1:1-1-2", "127.0.0.1:9092-127.0.0.1:1-4294967296-2", "host:9092-127.0.0.1:1-1-2",
	} {
		if n, err := ParseConnName(s); err == nil {
			t.Errorf("%q is understood as %s", s, n)
		}
	}
}

func TestEndsWithoutAnAddressHaveANameToo(t *testing.T) {
	name := ConnName{ID: ConnID{3, 7}}
	if name.String() != "unix-unix-3-7" {
		t.Errorf("%s", name)
	}
	if back, err := ParseConnName(name.String()); err != nil || back != name {
		t.Errorf("%v, %v", back, err)
	}
}

func TestConnectionIDsComeBackFromTheirStrings(t *testing.T) {
	for _, id := range []ConnID{{}, {3, 7}, {1<<32 - 1, 1<<64 - 1}} {
		if back, err := ParseConnID(id.String()); err != nil || back != id {
			t.Errorf("%v: %v, %v", id, back, err)
		}
	}
	for _, s := range []string{"", "-", "1", "1-", "-1", "01-2", "1-02", "+1-2", "1--2", "1-2-3", "4294967296-1", "a-b", " 1-2"} {
		if id, err := ParseConnID(s); err == nil {
			t.Errorf("%q is understood as %v", s, id)
		}
	}
}
