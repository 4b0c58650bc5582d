// Package kafka is Kafka's protocol on top of kring: the Filter, a filter that every
// request passes, and a handler that speaks Kafka and discards data.
//
// Job: parse request headers, validate API, version and the structure of every
// body, answer what the protocol itself answers, and help handlers to answer the
// rest. Bodies are decoded by kmsg, but kmsg never sees a byte that was not
// validated: it trusts counts that a client wrote.
//
// Flow: a frame's payload comes to Filter.Handle; ParseHeader, Versions, then the
// structural check of the body; what passes goes to APIHandler.HandleAPI as an
// APIRequest with its Header and Body; the handler answers with Respond, or with
// Start and Finish when it encodes by hand.
//
// Ownership: a Header's ClientID and an APIRequest's Body lie in the payload, so
// they are valid until the answer. A Filter and its Versions never change once
// built; any number of goroutines may use them.
//
// Never: allocate or loop by a number that a client wrote before that number was
// compared with the bytes that are there; answer a request twice; decode a layout by
// hand that the table derived from kmsg has.
//
// Kernel: none of its own.
package kafka

//go:generate go run ./internal/schemagen
