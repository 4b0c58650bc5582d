// Package record keeps what clients ask of a server in a file: a recording, which package
// replay plays against another one.
//
// Job: note each request, when it came, on which connection, what it was and how long it took,
// in a bounded file, without secrets, and without payloads unless they are asked for; read such
// files.
//
// Flow: Recorder.Handler stands in front of a kring.Handler and puts what it sees into a
// bounded queue; one goroutine writes the file; Reader reads it. Keep says what of each API is
// kept. The format is in docs/record.md.
//
// Ownership: any goroutine may use a Recorder. Its goroutine owns the file. A Reader has one
// owner.
//
// Never: wait for the disk on a goroutine that serves; write more than Config.BytesMax; keep a
// credential (Keep's table); trust a length in a file.
//
// Kernel: none.
package record
