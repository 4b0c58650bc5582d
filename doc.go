// Package kring is the network layer of a Kafka-style broker on io_uring.
//
// Job: what Kafka's SocketServer does: accept, read, frame, queue, answer,
// limit and measure, for any protocol of size-delimited frames. A broker embeds
// it with New, Start and Shutdown and one Handler.
//
// Flow: acceptor → processor → frame → request channel → handler → response,
// and back through the processor's ring. Each arrow is a folder of this
// repository; this package chooses the engine and puts the parts together.
//
// Where to look: New takes a Config, whose groups (Conns, Limits, Timeouts, Memory,
// Dispatch, Processors) name the defaults, and a Handler, which answers each Request. A
// Server has Start, or Serve on a socket that is there already; Shutdown and Close;
// Listeners, Addrs and Describe; Reconfigure, AddListener and RemoveListener; Stats, Conns
// and Failed. Errors are ConfigError, EngineError and ErrServerClosed. Package kafka has
// what speaks Kafka on top: Filter is the Handler then. The examples are whole programs.
//
// Ownership: a Server owns its listeners, processors, handlers and memory. A
// Handler owns a Request from Handle until it answers.
//
// Never: replace an engine that was asked for by name with another; grow
// without a bound that Config names; log (see Events).
//
// Kernel: io_uring from Linux 5.19; epoll on any Linux; Go's own network
// package everywhere else.
package kring
