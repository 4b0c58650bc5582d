// Package proxyproto reads the header by which a forwarder (a load balancer, a proxy) says
// whose connection it forwards: PROXY protocol, version 1 and 2.
//
// Job: bytes of the beginning of a connection become a Header, or an error that says what
// is wrong with them.
//
// Flow: a Parser takes bytes in whichever pieces they come, and says how many of them are
// the header's. What is behind them belongs to whoever comes next.
//
// Ownership: a Parser belongs to one goroutine. A Header holds nothing of what it was read
// from, and never changes.
//
// Never: take more memory than it was sent, before the length is known or after; look at
// an address that it was not told; block.
//
// Kernel: none. The protocol is HAProxy's doc/proxy-protocol.txt.
package proxyproto
