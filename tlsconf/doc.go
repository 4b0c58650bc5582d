// Package tlsconf makes a server's *tls.Config from files as Kafka's users have them,
// and replaces it when the files change.
//
// Job: server certificates and keys from PEM (encrypted PKCS#8 keys too) and PKCS#12;
// client certificates that are not asked for, requested or required; the trusted CAs;
// session tickets; and the principal of a client certificate, by Kafka's
// ssl.principal.mapping.rules on the text that Java has for its subject.
//
// Flow: Load reads and checks all files and returns a Source. The server calls Config for
// each connection, and Principal after its handshake. Reload reads the files again: it
// replaces the whole configuration, or keeps the old one and returns every fault.
//
// Ownership: a Source may be used by any goroutine. A *tls.Config that Config returned
// must not be changed.
//
// Never: log; put a password or a key into an error, a warning or formatted text; keep a
// client that a CA vouched for which is no longer trusted; run a goroutine.
//
// Kernel: none.
package tlsconf
