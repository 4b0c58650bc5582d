// Package frame cuts a byte stream into size-delimited frames.
//
// Job: turn received bytes, split anywhere, into whole frames: a big-endian
// int32 size and as many bytes of payload (Kafka's NetworkReceive). Any split
// of the same stream gives the same frames.
//
// Flow: Feed lends new bytes. Next cuts one frame after the other, in place if
// possible. A frame that is not whole yet asks for memory once (Begin) and is
// filled there, by Feed or straight from the socket (Rest, Filled). Settle copies
// what could not be cut, so that the lent bytes can be given back.
//
// Ownership: a Stream belongs to one connection, so to one processor. A frame
// that lies in lent or held memory is valid until the next call of Feed or
// Settle; memory given to Begin leaves with its frame.
//
// Never: take memory for a size that was not checked against the limit; take
// memory for a frame by itself (Begin gives it).
//
// Kernel: none.
package frame
