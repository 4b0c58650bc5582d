// Package reqchan carries requests from the processors to the handlers and the
// answers home.
//
// Job: the request channel of a broker, bounded in requests and in bytes, and
// the way back. It is where a processor that never blocks meets handlers that
// may.
//
// Flow: a processor readies a Job (Begin) and publishes a batch of them with its
// Sender (TrySend). Who runs handlers takes a batch with its Receiver and calls
// the handler with the Request of each Job, which is answered once. Return brings
// the answers to the ResponseQueue that each Job carries, which belongs to the
// processor that it came from. What there is no room for stays with its processor;
// the channel calls it later.
//
// Ownership: the Job goes from hand to hand and belongs to one at a time: the
// processor, the channel, who calls the handler, the response queue, the processor.
// A Request names one life of a Job; whoever holds it longer than that can't touch
// the next. A Sender belongs to one processor, a Receiver to one handler goroutine.
//
// Never: block a processor; wake a handler that has nothing to do, as far as
// can be known; forget whom a call was promised to; allocate per request; look
// into the bytes.
//
// Kernel: none.
package reqchan
