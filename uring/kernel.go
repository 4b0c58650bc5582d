//go:build linux

package uring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kernel is what a profile leaves of this machine's kernel. Where a profile
// lacks something the answer is that of the kernel it stands for, so that all
// above runs the way it would there.
type kernel struct {
	name     string
	setup    uint32 // flags of io_uring_setup
	features uint32 // in Params
	opcode   uint8  // the last operation
	register uint32 // the last registration
	// multishotRecv: since 6.0, like single issuer.
	multishotRecv bool
	reportUsage   bool // of zero-copy sends; since 6.2
	incremental   bool // buffers; since 6.12
	direct        bool // descriptors that are let go of; since 6.13
	recvLimit     bool // of a multishot receive; since 6.17
}

// Each kernel has what the one before had.
const (
	setup519  = SetupTaskrunFlag<<3 - 1 // with SQE128 and CQE32
	setup60   = setup519 | SetupSingleIssuer
	setup61   = setup60 | SetupDeferTaskrun
	setup66   = SetupNoSQArray<<1 - 1
	setup615  = setup66 | setupHybridIOPoll
	feature66 = 1<<14 - 1
)

var kernels = map[string]kernel{
	"5.19":     {setup: setup519, features: 1<<13 - 1, opcode: 46, register: 23},
	"6.0":      {setup: setup60, features: 1<<13 - 1, opcode: OpcodeSendZC, register: 25, multishotRecv: true},
	"6.1":      {setup: setup61, features: 1<<13 - 1, opcode: OpcodeSendMsgZC, register: 25, multishotRecv: true},
	"6.6":      {setup: setup66, features: feature66, opcode: OpcodeSendMsgZC, register: 25, multishotRecv: true, reportUsage: true},
	"6.10":     {setup: setup66, features: feature66 | featureBundle, opcode: 55, register: 28, multishotRecv: true, reportUsage: true},
	"6.12":     {setup: setup66, features: feature66 | featureBundle | featureMinTimeout, opcode: opcodeListen, register: 30, multishotRecv: true, reportUsage: true, incremental: true},
	"6.15":     {setup: setup615, features: FeatureNoIOWait<<1 - 1, opcode: 61, register: registerMemRegion, multishotRecv: true, reportUsage: true, incremental: true, direct: true},
	profileMax: {setup: ^uint32(0), features: ^uint32(0), opcode: ^uint8(0), register: ^uint32(0), multishotRecv: true, reportUsage: true, incremental: true, direct: true, recvLimit: true},
}

// kernelOf finds a profile that Validate let pass.
func kernelOf(name string) (kernel, error) {
	k, ok := kernels[name]
	if !ok {
		return k, fmt.Errorf("io_uring: kernel profile %s: multishot accept and buffer rings came in 5.19, and kring's engine needs both", name)
	}
	k.name = name
	return k, nil
}

// open sets up a ring as this kernel would.
func (k *kernel) open(entries uint32, p *Params) (*ring, error) {
	if p.Flags&^k.setup != 0 {
		return nil, unix.EINVAL
	}
	r, err := openRing(entries, p)
	if err != nil {
		return nil, err
	}
	p.Features &= k.features
	r.restrain(k)
	return r, nil
}

// limit takes away the operations that came later.
func (k *kernel) limit(known *Opcodes) {
	for op := int(k.opcode) + 1; op < 256; op++ {
		known[op>>6] &^= 1 << (op & 63)
	}
}
