// Package sasl authenticates clients by the mechanisms of Kafka: PLAIN, SCRAM-SHA-256,
// SCRAM-SHA-512 and OAUTHBEARER. It knows tokens, and nothing of Kafka's wire format.
//
// Job: turn the tokens of a client into an Identity, or into a failure that tells the
// client no more than it may know. Keep users and their hashed passwords in a file.
//
// Flow: a Mechanism begins an Exchange for each authentication; Exchange.Next takes a token
// and returns the answer to it, until one is the last. PLAIN asks a PasswordStore, SCRAM a
// SCRAMStore; Users is both. OAUTHBEARER checks signed tokens against a KeySet.
//
// Ownership: an Exchange belongs to one connection, and one goroutine at a time calls Next.
// Mechanisms, Users and a KeySet may be used by any number of goroutines. Tokens stay the
// caller's: nothing of one is kept after Next, but for what SCRAM has to repeat.
//
// Never: put a password, a token or a key into an error or a text; tell a client whether a
// user exists, by words or by time; take an algorithm from a token that the operator did not
// allow; fetch keys while a client waits.
//
// Kernel: files only. A users file is replaced by rename(2) after fsync(2).
package sasl
