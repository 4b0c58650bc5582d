// Command judge asks Apache Kafka and kring the same questions and compares
// what a client can see.
//
// Job. A transcript of frames, good, old, unknown, oversized, truncated,
// pipelined and hostile; for each: is it answered or is the connection closed,
// with which error codes, in which order, and is the next request on that
// connection answered. And what a hostile connection costs a server, and
// whether mutated requests do it harm.
//
// Flow. transcript.go and good*.go make questions for the versions that both
// servers have; ofclients.go has frames that real clients sent; announced.go,
// creation.go, fencing.go, listing.go, moving.go, bounds.go, answers.go and removing.go hold talks of several
// requests, each made of the answers before it, about what is announced, kept,
// fenced, listed and refused. ask and talk put a question to a server; compare
// holds the outcomes against each other and against differences.txt, which gives
// a reason for each difference that is wanted; cost and mutate measure.
//
// Ownership. Every question has a connection of its own.
//
// Never. No client library: they would not ask such things. kmsg encodes and
// decodes; what is wrong is made wrong afterwards.
//
// Kernel. /proc, for the servers' processor time and memory.
//
// usage: judge compare|cost|mutate [FLAGS] NAME=ADDR[=PID]...
package main
