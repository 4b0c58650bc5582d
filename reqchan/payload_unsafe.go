package reqchan

import "unsafe"

// bytesFrom are the n bytes from first on. It is sound when both are of the same
// request: first is the first of at least n bytes of its Frame, which is as long, and
// the pointer keeps Frame's memory if that is of the Go heap. Other memory lasts until
// the answer, as Payload says; until then nobody else writes it.
func bytesFrom(first *byte, n int) []byte { return unsafe.Slice(first, n) }

// lies says that b, which is not empty, is a part of whole. It is sound: the addresses are
// compared, never turned back into pointers.
func lies(b, whole []byte) bool {
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	return at >= start && at+uintptr(len(b)) <= start+uintptr(cap(whole))
}
