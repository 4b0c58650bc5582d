// Package engine is the completion contract that every engine keeps.
//
// Job: say what "accept", "connect", "receive", "send" and "close" mean in completions,
// so that everything above this line exists once. What the contract means is
// decided by what io_uring does; the readiness-based engines emulate it, never
// the reverse.
//
// Flow: the owner submits operations (Accept, Connect, Recv, RecvInto, Send, CloseFD),
// calls Poll, and works off the completions that Poll returned. Submitting
// cannot fail: failure is a completion, so there is one error path.
//
// Ownership: an Engine belongs to the goroutine that opened it. Only Wake and
// Counters may be called from any other goroutine. Memory handed to RecvInto and Send
// belongs to the engine until the completion with More == false; the Data of a
// completion is lent to the owner until Recycle.
//
// Never: enter the kernel for data outside Poll and Wake; end an operation
// twice or not at all; touch a descriptor or memory after the operation's last
// completion; complete an operation with another connection's token.
//
// Kernel: none of its own. It depends on the standard library alone.
package engine
