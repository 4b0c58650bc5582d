// Command judge asks Apache Kafka and kring the same questions and compares
// what a client can see.
//
// Job. Send a transcript of frames: good, old, unknown, oversized, truncated, pipelined
// and hostile ones. For each, compare whether it is answered or its connection closed,
// with which error codes, in which order, and whether the next request on that
// connection is answered. It also measures what a hostile connection costs a server, and
// whether mutated requests harm it.
//
// Flow. transcript.go and good*.go make questions for the versions that both
// servers have; ofclients.go has frames that real clients sent; announced.go,
// creation.go, fencing.go, listing.go, moving.go, bounds.go, answers.go and removing.go
// have talks: several requests, each made from the responses before it, about what is
// announced, kept, fenced, listed and refused. ask and talk put a question to a server;
// compare compares the outcomes with each other and with differences.txt, which has a
// reason for each wanted difference; cost and mutate measure.
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
