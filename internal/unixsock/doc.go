// Package unixsock binds Unix domain sockets to their files.
//
// Job: what a file does that a port doesn't: it stays when its process dies, it
// says by its mode who may connect, and it must go when its listener goes.
//
// Flow: Bind makes room at the path, has the caller bind and listen, sets the
// mode in between, and gives the function that removes the file.
//
// Ownership: the file is the caller's until it has called that function. What
// another process put in its place meanwhile is left alone.
//
// Never: take a path away from a process that listens there; remove what is no
// socket; leave a lock file behind.
//
// Kernel: unix(7); a bound socket that nobody listens on refuses connections, as
// one does whose process is gone. flock(2) of the directory keeps two processes
// that start at once from taking each other's socket for a dead one.
package unixsock
