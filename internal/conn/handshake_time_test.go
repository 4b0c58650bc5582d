package conn

import (
	"testing"
	"time"

	"kring/internal/conn/conntest"
	"kring/reqchan"
)

// inLine is a transport whose goroutine has waited for its turn for so long.
type inLine struct {
	*conntest.Server
	worked func(now int64) int64
}

func (i *inLine) TellWork(func(int32))               {}
func (i *inLine) Worked(now int64) int64             { return i.worked(now) }
func (i *inLine) of(*reqchan.Conn, func()) Transport { return i }

// TestAHandshakeHasItsTimeBesideTheWaitForItsTurn, and no more: time that is ours moves its
// deadline by as much, and up to once HandshakeTimeout.
func TestAHandshakeHasItsTimeBesideTheWaitForItsTurn(t *testing.T) {
	const limit, step = 10 * time.Second, 100 * time.Millisecond
	for name, c := range map[string]struct {
		worked func(had int64) int64
		most   time.Duration
	}{
		"it never waits":        {func(int64) int64 { return 0 }, limit},
		"it waits for a second": {func(had int64) int64 { return min(had, int64(time.Second)) }, limit + time.Second},
		"in the end":            {func(had int64) int64 { return max(had-int64(8*time.Second), 0) }, 2 * limit},
		"it always waits":       {func(had int64) int64 { return had }, 2 * limit},
		"half of its time":      {func(had int64) int64 { return had / 2 }, 2 * limit},
	} {
		t.Run(name, func(t *testing.T) {
			began := int64(time.Second)
			transport := &inLine{conntest.NewServer(func() {}), func(now int64) int64 { return c.worked(now - began) }}
			l := newTestLoopAt(t, began, Settings{HandshakeTimeout: limit, Transport: transport.of}, nil)
			defer l.end()
			looks := 0
			for on := true; on; on = l.conn.Expire() {
				due := l.conn.Earliest(l.shared.Now())
				if looks++; due < l.shared.Now() {
					t.Fatal("it was to be looked at before")
				}
				l.shared.Tick(max(due, l.shared.Now()+int64(step)), 0)
			}
			if had := time.Duration(l.shared.Now() - began); had < c.most || had > c.most+limit/8 {
				t.Errorf("it was closed after %v, not %v", had, c.most)
			}
			if l.conn.reason != reqchan.HandshakeTimeout || looks > 30 {
				t.Errorf("it was closed for %v, at look %d", l.conn.reason, looks)
			}
		})
	}
}
