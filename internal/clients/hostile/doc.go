// Package hostile sends frames that no honest client sends.
//
// Job. Prove that a frame which lies about its size, its API, its version or
// its counts costs the server one connection, at once, and nothing else.
//
// Flow. For every engine a server is started; beside it an honest connection
// asks again and again; each kind of lie is sent on a connection of its own,
// many times; then the server is ended and its summary must have counted every
// lie under its reason.
//
// Ownership. Each connection belongs to the goroutine that opened it.
//
// Never. No client library: they refuse to say such things.
//
// Kernel. Nothing of its own.
package hostile
