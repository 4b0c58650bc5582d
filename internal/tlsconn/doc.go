// Package tlsconn is TLS for connections of internal/conn, by crypto/tls.
//
// Job: be the conn.Transport of a TLS listener's connections.
//
// Flow: a Transport looks at the first bytes. If they are TLS, a goroutine runs the
// handshake: what is received goes to it, what it writes goes out through the processor.
// After that there is no goroutine: the processor has whole records opened where they lie,
// and crypto/tls writes records into memory that is about to be sent.
//
// Ownership: a Transport belongs to its connection's processor, but for handshake, which
// it shares with its goroutine. Handshakes is what a listener's connections share.
//
// Never: block the processor; run more handshakes than Settings say; answer bytes that are
// no TLS.
//
// Kernel: none.
package tlsconn
