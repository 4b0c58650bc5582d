// Package handover carries what one process hands over to its successor.
//
// Job: messages with descriptors between two processes of one user, over a Unix domain
// socket. What they mean is the root package's.
//
// Flow: the process that serves calls Listen, its successor Dial. Each Send is one message,
// with up to DescriptorsMax descriptors (SCM_RIGHTS).
//
// Ownership: received descriptors are the receiver's, close-on-exec. Sent ones stay the
// sender's. A Conn is for one goroutine that sends and one that receives.
//
// Never: talk to another user's process, or over a socket that others may connect to;
// take a message or a list of descriptors without a bound; wait without an end.
//
// Kernel: unix(7), SCM_RIGHTS and SO_PEERCRED. Linux only; elsewhere everything fails with
// errors.ErrUnsupported.
package handover
