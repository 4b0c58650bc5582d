// Package gateway serves the clients of a kring.Server from an existing Kafka cluster.
//
// Job: what a client asks for is answered by a broker of the upstream cluster, over
// connections that many clients share. Clients see one cluster at the gateway's own
// addresses; node ids stay as they are.
//
// Flow: a request that passed kafka's filter comes to Gateway.HandleAPI. The table of lanes
// says what its API does: it is answered here, refused, or put into the client's queue of
// slots, and from there onto an upstream connection of its lane. The response comes back
// with that connection's correlation id; addresses in it are rewritten, and the client gets
// it under its own correlation id.
//
// Ownership: everything here is a state machine without I/O. Connections to brokers are
// Links, which a Dialer opens; see link.go for who may call what, and where. Clients'
// payloads stay theirs until the answer; a Link owns the memory of a Write until it is done.
//
// Never: send again what an upstream may have read; give a client another's response;
// answer inside a fetch session what no broker answered; wait without an end; hold what has
// no bound over all clients.
//
// Kernel: none of its own.
package gateway
