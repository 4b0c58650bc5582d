package engine

// FileReader is an Engine that reads files as it receives from sockets, without
// ever waiting for a disk. An Engine need not be one.
type FileReader interface {
	// ReadFile reads into buf what lies at offset of a regular file, and
	// completes once (OpReadFile): Res bytes were read, fewer than len(buf) where
	// the file ends, 0 behind its end. file is a file descriptor; it and buf,
	// which is memory of internal/slab, are the engine's until then. t is the
	// token of the connection that the bytes are for; Shutdown and Cancel do not
	// end it.
	ReadFile(file uintptr, t Token, buf []byte, offset int64)
}
