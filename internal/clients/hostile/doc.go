// Package hostile sends frames that no honest client sends.
//
// Job. Prove that a frame with a wrong size, API, version or count closes its own
// connection, at once, and does nothing else.
//
// Flow. A server is started for every engine. An honest connection sends requests all
// the time. Each kind of wrong frame is sent on a connection of its own, many times.
// Then the server is ended, and its summary must have counted every one under its reason.
//
// Ownership. Each connection belongs to the goroutine that opened it.
//
// Never. No client library: they refuse to say such things.
//
// Kernel. Nothing of its own.
package hostile
