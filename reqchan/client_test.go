package reqchan

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestAConnectionKeepsTheClientIDOfItsLastRequest, without an allocation while that stays
// what it is, and never more of it than the bound.
func TestAConnectionKeepsTheClientIDOfItsLastRequest(t *testing.T) {
	c := &Conn{}
	if c.SetClientID(nil); c.ClientID() != "" {
		t.Errorf("%q", c.ClientID())
	}
	id := []byte("console-producer")
	c.SetClientID(id)
	id[0] = 'X' // it was copied
	if c.ClientID() != "console-producer" {
		t.Errorf("%q", c.ClientID())
	}
	same := []byte("console-producer")
	if n := testing.AllocsPerRun(100, func() { c.SetClientID(same) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, id := range []string{strings.Repeat("ä", 1000), "\xff\xfe", strings.Repeat("x", 32767)} {
		c.SetClientID([]byte(id))
		got := c.ClientID()
		if !utf8.ValidString(got) || len(got) > ClientIDBytesMax+len("\uFFFD") || got == "" {
			t.Errorf("%d bytes of %.10q", len(got), got)
		}
	}
	if c.SetClientID(nil); c.ClientID() != "" {
		t.Errorf("%q", c.ClientID())
	}
}

func BenchmarkTheSameClientID(b *testing.B) {
	c, id := &Conn{}, []byte("console-producer")
	for b.Loop() {
		c.SetClientID(id)
	}
}
