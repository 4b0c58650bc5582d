// Package quota says how long clients have to wait that use more than their
// share, as Kafka's client quotas do (KIP-13, KIP-124, KIP-257, KIP-612).
//
// Job: limits on bytes, requests and handler time per second, for users, client
// ids, pairs of both, and IP addresses, each by name or by default; the rate of
// everybody that a limit applies to; and from both the throttle time.
//
// Flow: New and Set take limits. For finds the Subject of a request; its Record
// adds what was used and returns how long its client must wait; recording less
// than nothing takes back what did not happen in the end. Who answers tells the
// client and mutes the connection (reqchan.Request.Throttle).
//
// Ownership: a Quotas may be used by any goroutine. A Subject is for the request
// that asked for it.
//
// Never: wait; hold one lock for everybody; keep who was silent for all windows;
// grow with the names that clients invent, beyond Config.SubjectsMax.
//
// Kernel: none.
package quota
