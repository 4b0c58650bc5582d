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
	AcceptMultishotMode = "multishot"
	AcceptSingleMode    = "single"
)

// Names for Config.Recv.
const (
	RecvMultishotMode = "multishot"
	RecvSingleMode    = "single"
	RecvFixedMode     = "fixed"
)

// Names for Config.Send.
const (
	SendPlainMode = "send"
	SendFixedMode = "fixed"
)

// Names for Config.Wake.
const (
	WakeEventfd = "eventfd"
	WakeMsgRing = "msg-ring"
)
