// Package load generates load for servers that speak frames with a 4-byte
// big-endian size in front, and for Kafka brokers, and measures what comes
// back.
//
// Job: send requests over many connections with few threads, in a closed loop
// (a fixed number in flight) or an open one (a fixed rate, latency counted from
// the moment a request was meant to leave), check every response, and say so
// when the generator itself, not the server, set the limit.
//
// Flow: Run prepares one request as a template, dials, and starts the threads;
// each owns its connections, grants requests, sends runs of the template with
// fresh tags, and counts the bytes that return, or checks them against what must
// return (see Config.Verify). The threads' records are merged into one Result.
//
// Ownership: a thread owns its connections, its scratch memory and its record;
// threads share only the window's two instants. Everything is allocated before
// the warm-up starts.
//
// Never: allocate while measuring; wait for a response before a request of the
// open loop is due; drop a late response from the record; log.
//
// Kernel: on Linux the threads use epoll by edges and non-blocking calls directly,
// which were faster than io_uring here (bench/METHOD.md); on other systems, or
// with Config.Portable, Go's net.
package load
