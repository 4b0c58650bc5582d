// Package sock opens, configures and names TCP sockets for the engines that use
// plain file descriptors, and Unix domain sockets beside them.
//
// Job: everything about a socket that is not data: listen, options, addresses,
// close. Elsewhere than on Linux the package is empty; the portable engine has
// Go's net.
//
// Flow: Listen sets every option on the listening socket, where accepted
// sockets inherit it, so that accepting a connection costs no further call.
//
// Ownership: whoever got a descriptor closes it, once, with Close.
//
// Never: let a descriptor leak into a child process; leave an address family
// out when the host is empty and the machine has both; report a bare errno
// where the address and the remedy are known.
//
// Kernel: sockets are in blocking mode: io_uring waits for them by itself, and
// the epoll engine asks for MSG_DONTWAIT call by call. socket(2), ip(7), ipv6(7),
// tcp(7).
package sock
