// Package quota computes how long clients that use more than their quota have to
// wait, as Kafka's client quotas do (KIP-13, KIP-124, KIP-257, KIP-612).
//
// Job: limits on bytes, requests and handler time per second, for users, client
// ids, pairs of both, and IP addresses, each by name or by default; the rates of
// all clients to which a limit applies; and from both the throttle time.
//
// Flow: New and Set take limits. For finds the Subject of a request. Its Record adds
// what was used and returns how long its client must wait; a negative amount takes
// back what did not happen in the end. Whoever answers the request tells the client
// and mutes the connection (reqchan.Request.Throttle).
//
// Ownership: a Quotas may be used by any goroutine. A Subject is for the request
// that asked for it.
//
// Never: wait; take one lock for all clients; keep clients that were silent for all
// windows; keep more names of clients than Config.SubjectsMax.
//
// Kernel: none.
package quota
