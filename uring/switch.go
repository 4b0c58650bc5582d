package uring

import "fmt"

// Switch says whether the engines use something that only some kernels have.
type Switch uint8

// Values of a Switch.
const (
	// Auto: where the kernel has it and it fits the engine.
	Auto Switch = iota
	// On: New fails on a kernel without it.
	On
	// Off: never.
	Off
)

var switchNames = [...]string{Auto: "auto", On: "on", Off: "off"}

func (s Switch) String() string {
	if int(s) < len(switchNames) {
		return switchNames[s]
	}
	return fmt.Sprintf("Switch(%d)", uint8(s))
}

// Names for Config.Accept.
const (
	// AcceptMultishotMode: one request accepts all connections.
	AcceptMultishotMode = "multishot"
	// AcceptSingleMode: one request for each connection.
	AcceptSingleMode = "single"
)

// Names for Config.Recv.
const (
	// RecvMultishotMode: one request receives until it is cancelled, into provided buffers.
	RecvMultishotMode = "multishot"
	// RecvSingleMode: one request for each receive, into a provided buffer.
	RecvSingleMode = "single"
	// RecvFixedMode: into registered memory.
	RecvFixedMode = "fixed"
)

// Names for Config.Send.
const (
	// SendPlainMode: gathered sends from any memory.
	SendPlainMode = "send"
	// SendFixedMode: copied to registered memory and sent from there.
	SendFixedMode = "fixed"
)

// Names for Config.Wake.
const (
	// WakeEventfd: by an eventfd.
	WakeEventfd = "eventfd"
	// WakeMsgRing: by a message from another ring.
	WakeMsgRing = "msg-ring"
)
