package reqchan

import "unsafe"

// bytesFrom are the n bytes from first on. It is sound when both are of the same
// request: first is the first of at least n bytes of its Frame, which is as long, and
// the pointer keeps Frame's memory if that is of the Go heap. Other memory lasts until
// the answer, as Payload says; until then nobody else writes it.
func bytesFrom(first *byte, n int) []byte { return unsafe.Slice(first, n) }
