//go:build linux

package uring

import (
	"testing"

	"golang.org/x/sys/unix"

	"kring/internal/slab"
)

// TestBuffersComeInOrderAcrossTheTailsWrap receives 80,000 times from rings
// whose size has tripped others up: above 4096 entries (an index computed in 16
// bits), and 32768 (the largest).
func TestBuffersComeInOrderAcrossTheTailsWrap(t *testing.T) {
	for _, entries := range []int{1, 8, 4096, 8192, BufRingEntriesMax} {
		r := newTestRing(t, 8, 16)
		b, err := MapBufRing(entries)
		if err != nil {
			t.Fatal(err)
		}
		memory, err := slab.Map(entries * 8)
		if err != nil {
			t.Fatal(err)
		}
		buffer := func(bid uint16) []byte { return memory[int(bid)*8 : int(bid)*8+8] }
		for i := range entries {
			b.Add(buffer(uint16(i)), uint16(i))
		}
		b.Publish()
		if err := r.RegisterBufRing(b, 3); err != nil {
			t.Fatal(err)
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var said [8]byte
		for i := range 80_000 {
			said[0], said[1], said[2] = byte(i), byte(i>>8), byte(i>>16)
			if _, err := unix.Write(fds[0], said[:]); err != nil {
				t.Fatal(err)
			}
			q := get(t, r)
			q.PrepRecv(int32(fds[1]), 0, 8, 0)
			q.Flags, q.BufGroup = SQEBufferSelect, 3
			c := reapAll(t, r, 1)[0]
			if c.Res != 8 || c.Flags&CQEBuffer == 0 {
				t.Fatalf("%d entries, receive %d: %+v", entries, i, c)
			}
			if want := uint16(i % entries); c.BufferID() != want || [8]byte(buffer(want)) != said {
				t.Fatalf("%d entries, receive %d: buffer %d, wanted %d; %v, wanted %v", entries, i, c.BufferID(), want, buffer(want), said)
			}
			b.Add(buffer(c.BufferID()), c.BufferID())
			b.Publish()
		}
		if err := r.UnregisterBufRing(3); err != nil {
			t.Error(err)
		}
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		_ = b.Unmap()
		_ = slab.Unmap(memory)
	}
}

func TestBufferRingsOfWrongSizeAreRefused(t *testing.T) {
	for _, n := range []int{-1, 0, 3, 65536} {
		if _, err := MapBufRing(n); err == nil {
			t.Errorf("MapBufRing(%d) worked", n)
		}
	}
}
