// Package acl decides who may do what: an Authorizer, and one that reads its rules
// from a file.
//
// Job: answer, for a principal on a listener at an address, whether it may do an
// operation on a resource (a topic, a group, a transactional id, the cluster), as
// Apache Kafka's authorizers do. Package kafka asks, once for each resource that a
// request names, and answers with Kafka's own error codes.
//
// Flow: Parse reads rules, New compiles them, and Rules.Allowed looks a resource up by
// its name and by the lengths of the prefixes that there are. What no rule allows is
// denied, and a deny is stronger than every allow.
//
// Ownership: Rules never change; File swaps them whole. Any goroutine may ask.
//
// Never: no wire format, no logging, no allocation in Allowed.
//
// Kernel: nothing.
package acl
