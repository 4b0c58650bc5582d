//go:build linux

package uring

import (
	"fmt"
	"reflect"
	"testing"
)

// TestStructsLieAsTheKernelReadsThem compares every size and offset with
// include/uapi/linux/io_uring.h.
func TestStructsLieAsTheKernelReadsThem(t *testing.T) {
	for _, c := range []struct {
		v       any
		size    uintptr
		offsets string
	}{
		{SQE{}, 64, "Opcode:0 Flags:1 IOPrio:2 FD:4 Off:8 Addr:16 Len:24 OpFlags:28 UserData:32 BufGroup:40 Personality:42 FileIndex:44 Addr3:48 Pad:56"},
		{CQE{}, 16, "UserData:0 Res:8 Flags:12"},
		{Params{}, 120, "SQEntries:0 CQEntries:4 Flags:8 SQThreadCPU:12 SQThreadIdle:16 Features:20 WQFD:24 Reserved:28 SQOff:40 CQOff:80"},
		{sqOffsets{}, 40, "Head:0 Tail:4 RingMask:8 RingEntries:12 Flags:16 Dropped:20 Array:24 Reserved:28 UserAddr:32"},
		{cqOffsets{}, 40, "Head:0 Tail:4 RingMask:8 RingEntries:12 Overflow:16 CQEs:20 Flags:24 Reserved:28 UserAddr:32"},
		{timespec{}, 16, "Sec:0 Nsec:8"},
		{getEventsArg{}, 24, "Sigmask:0 SigmaskSize:8 MinWaitUsec:12 Timespec:16"},
		{bufEntry{}, 16, "Addr:0 Len:8 Bid:12 Tail:14"},
		{bufRegistration{}, 40, "RingAddr:0 Entries:8 Group:12 Flags:14 Reserved:16"},
		{syncCancel{}, 64, "Addr:0 FD:8 Flags:12 Timeout:16 Opcode:32 Pad:33 Pad2:40"},
		{probeOp{}, 8, "Op:0 Reserved:1 Flags:2 Pad:4"},
		{probeTable{}, 16 + 256*8, "LastOp:0 OpsLen:1 Reserved:2 Pad:4 Ops:16"},
	} {
		typ := reflect.TypeOf(c.v)
		if typ.Size() != c.size {
			t.Errorf("%v has %d bytes, wanted %d", typ, typ.Size(), c.size)
		}
		var offsets string
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Name != "_" {
				offsets += fmt.Sprintf(" %s:%d", f.Name, f.Offset)
			}
		}
		if offsets[1:] != c.offsets {
			t.Errorf("%v lies as\n%s, wanted\n%s", typ, offsets[1:], c.offsets)
		}
	}
}

func TestSocketStructsLieAsTheCLibraryHasThem(t *testing.T) {
	word := reflect.TypeOf(uintptr(0)).Size()
	if size := reflect.TypeOf(iovec{}).Size(); size != 2*word {
		t.Errorf("iovec has %d bytes, wanted %d", size, 2*word)
	}
	if size := reflect.TypeOf(msghdr{}).Size(); size != 7*word {
		t.Errorf("msghdr has %d bytes, wanted %d", size, 7*word)
	}
}

func TestTailWordHoldsTheBufferFirst(t *testing.T) {
	w := tailWord(0x1122, 0x3344)
	if w != 0x33441122 && w != 0x11223344 {
		t.Errorf("tailWord = %#x", w)
	}
	if pollMask(1) != 1 && pollMask(1) != 1<<16 {
		t.Errorf("pollMask(1) = %#x", pollMask(1))
	}
}
