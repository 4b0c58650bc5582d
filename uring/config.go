package uring

import (
	"errors"
	"fmt"
)

// Config of a Network. The zero value works.
type Config struct {
	// Entries is the submission queue of each engine, in SQEs; the kernel
	// rounds it up to a power of two. A full queue is submitted early, nothing
	// is lost; 64 bytes each, so the default of 512 stays in the first cache.
	// 1 to 32768.
	Entries int

	// CQEntries is the completion queue, in CQEs of 16 bytes. It should hold
	// what may complete between two Polls, buffers plus sends: when it is full
	// the kernel keeps the rest on a slow list. Default: 8192, at least twice
	// Entries. Kernel: 5.5.
	CQEntries int

	// Buffers is the most receive buffers an engine may have, a power of two
	// up to 32768; 1024 by default. It bounds receive memory: Buffers ×
	// BufferBytes per engine, mapped at once but resident only where used.
	// Kernel: 5.19.
	Buffers int

	// BuffersHot is how many of them the kernel holds at a time to begin with;
	// 128 by default. It takes buffers in turn, so a small number stays in
	// the processor's cache. The engine doubles it up to Buffers when the
	// kernel ran out, and halves it again when most stay unused.
	BuffersHot int

	// BufferBytes is the size of each buffer; 16 KiB by default, a producer's
	// usual batch. Larger frames are received straight into their own memory.
	// 64 bytes to 1 MiB.
	BufferBytes int

	// SendBytesMax limits what one Send hands to the kernel, by default 1 MiB and
	// 64 KiB: a mebibyte of records with what frames it in one piece. The copy
	// happens inside the submitting call and holds up everybody else. The rest
	// of a larger Send is the owner's next one.
	SendBytesMax int

	// SendBuffersMax limits the buffers that one Send gathers, 128 by default
	// and at most 1024 (the kernel's UIO_MAXIOV).
	SendBuffersMax int

	// KernelProfile is the kernel to serve as: what came after it is left
	// unused, so that the ways for older kernels can be run and measured on
	// this one. One of KernelProfiles; default "max", everything there is. It
	// takes away only: a kernel older than the profile stays what it is. Below
	// 5.19 New fails, as it does there.
	KernelProfile string
}

const (
	entriesMax     = 32768
	buffersMax     = 32768
	sendBuffersMax = 1024
)

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Entries, 512)
	def(&c.CQEntries, max(8192, 2*c.Entries))
	def(&c.Buffers, 1024)
	def(&c.BuffersHot, min(128, c.Buffers))
	def(&c.BufferBytes, 16<<10)
	def(&c.SendBytesMax, 1<<20+64<<10)
	def(&c.SendBuffersMax, 128)
	if c.KernelProfile == "" {
		c.KernelProfile = profileMax
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	in := func(name string, v, low, high int) {
		if v < low || v > high {
			faults = append(faults, fmt.Errorf("uring: Config.%s is %d: give %d to %d, or 0 for the default", name, v, low, high))
		}
	}
	in("Entries", c.Entries, 1, entriesMax)
	in("CQEntries", c.CQEntries, c.Entries, 2*entriesMax)
	in("Buffers", c.Buffers, 1, buffersMax)
	in("BuffersHot", c.BuffersHot, 1, max(c.Buffers, 1))
	in("BufferBytes", c.BufferBytes, 64, 1<<20)
	in("SendBytesMax", c.SendBytesMax, 1, 1<<30)
	in("SendBuffersMax", c.SendBuffersMax, 1, sendBuffersMax)
	if err := validateProfile(c.KernelProfile); err != nil {
		faults = append(faults, err)
	}
	if c.Buffers > 0 && c.Buffers&(c.Buffers-1) != 0 {
		faults = append(faults, fmt.Errorf("uring: Config.Buffers is %d: give a power of two", c.Buffers))
	}
	return errors.Join(faults...)
}
