// Package clients runs real Kafka clients against kring: confluent-kafka-go
// (librdkafka), IBM/sarama and segmentio/kafka-go.
//
// Job. Prove that clients nobody here wrote get back exactly the bytes they
// sent: every size from 0 B to 1 MiB, every compression, acks 0, 1 and all,
// idempotent and transactional, alone and in a group that rebalances.
//
// Flow. A test starts one `kring serve` per engine (package broker), each
// client writes records whose content follows from their number (package
// corpus), reads them back, and a ledger says what is missing, changed, out of
// order or there twice. With KRING_BOOTSTRAP set the same tests run against
// that address instead, and start nothing.
//
// Ownership. The test owns the server's process and ends it by its id; a
// client owns its connections; the ledger is the only thing that goroutines
// share, and has a lock.
//
// Never. This module is not imported by anything, and the main module never
// sees its dependencies, so kring itself stays small and free of cgo. No case
// is skipped for want of a server: without one, the test builds it.
//
// Kernel. Nothing of its own; what the engines need is theirs to say.
package clients
