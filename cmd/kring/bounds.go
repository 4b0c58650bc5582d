package main

import (
	"fmt"
	"time"

	"kring"
)

// boundFlags are how much is held for clients, and for how long.
type boundFlags struct {
	MaxFrameBytes       size          `group:"bounds" placeholder:"BYTES" help:"Largest request [socket.request.max.bytes]; a larger one closes its connection. Default: 100MiB, or less where --memory-max is little."`
	QueuedRequests      int           `group:"bounds" placeholder:"N" help:"Requests that wait for a handler [queued.max.requests]; beyond them, connections are not read. Default: 500."`
	QueuedRequestBytes  size          `group:"bounds" placeholder:"BYTES" help:"Bytes of all requests that are received and not answered [queued.max.request.bytes]; beyond them, connections are not read. Default: 256MiB, or less where --memory-max is little, and at least what the largest request needs."`
	MemoryMax           size          `group:"bounds" placeholder:"BYTES" help:"Memory that the process may use; other defaults are smaller where it is little. Negative: no bound. Default: the cgroup's limit, else three quarters of the machine's memory."`
	HeldMemory          size          `group:"bounds" placeholder:"BYTES" help:"Memory for bytes that are received and no whole request yet, of all connections; from half of it on, requests are received one at a time. Default: 128MiB, or less where --memory-max is little."`
	HeldBytes           size          `group:"bounds" placeholder:"BYTES" help:"Bytes read ahead of a connection's requests before it is not read. Default: 256KiB."`
	QueuedResponseBytes size          `group:"bounds" placeholder:"BYTES" help:"Response bytes that may wait on a connection before its next request is started; see --slow-reader. Default: 1MiB."`
	ResponseMemoryMax   size          `group:"bounds" placeholder:"BYTES" help:"Memory of all responses that are made and not sent yet, over all connections; a quarter is for small ones alone. Beyond it, requests wait. At least 8MiB. Default: 128MiB, or less where --memory-max is little."`
	SlowReader          string        `group:"bounds" enum:"pause, throttle, close" default:"pause" help:"What becomes of a connection that reaches --queued-response-bytes with more than one response: ${enum}. pause starts nothing more of it until it reads, throttle mutes it for a second besides, close ends it. Default: ${default}."`
	WriteTimeout        time.Duration `group:"bounds" placeholder:"DURATION" default:"30s" help:"How long a client may take nothing of a response before its connection is closed; a tenth of it while others wait for the memory of responses; negative: for ever. Default: ${default}."`
	FrameTimeout        time.Duration `group:"bounds" placeholder:"DURATION" default:"30s" help:"How long a client that has begun a request may send nothing of it, before its connection is closed; all of it may take twice that and a second for each 256 KiB. Negative: for ever. Default: ${default}."`
	IdleTimeout         time.Duration `group:"bounds" placeholder:"DURATION" default:"10m" help:"How long a connection may be silent with nothing in flight before it is closed [connections.max.idle.ms]; negative: for ever. Default: ${default}."`
	FallbackBuffers     int           `group:"bounds" placeholder:"N" help:"Receive buffers that an engine other than io_uring may lend at once (that one has --uring buffers=N). Default: 256."`
	FallbackBufferBytes size          `group:"bounds" placeholder:"BYTES" help:"Size of each. Default: 16KiB."`
}

// validate names what 0 can't mean.
func (b *boundFlags) validate() (faults []error) {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"write-timeout", b.WriteTimeout}, {"frame-timeout", b.FrameTimeout}, {"idle-timeout", b.IdleTimeout}} {
		if d.value == 0 {
			faults = append(faults, fmt.Errorf("--%s 0s: give how long, or -1s for ever", d.flag))
		}
	}
	return faults
}

func (b *boundFlags) apply(cfg *kring.Config) {
	cfg.Limits.FrameBytesMax = int(b.MaxFrameBytes)
	cfg.Dispatch.QueuedRequestsMax, cfg.Memory.RequestBytesMax = b.QueuedRequests, int64(b.QueuedRequestBytes)
	cfg.Memory.BytesMax, cfg.Memory.HeldBytesMax = int64(b.MemoryMax), int64(b.HeldMemory)
	cfg.Limits.HeldBytesMax, cfg.Limits.QueuedResponseBytesMax = int(b.HeldBytes), int(b.QueuedResponseBytes)
	cfg.Memory.ResponseBytesMax = int64(b.ResponseMemoryMax)
	cfg.Limits.SlowReader, cfg.Timeouts.Write, cfg.Timeouts.Frame, cfg.Timeouts.Idle = kring.SlowReader(b.SlowReader), b.WriteTimeout, b.FrameTimeout, b.IdleTimeout
	cfg.Epoll.Buffers, cfg.Portable.Buffers = b.FallbackBuffers, b.FallbackBuffers
	cfg.Epoll.BufferBytes, cfg.Portable.BufferBytes = int(b.FallbackBufferBytes), int(b.FallbackBufferBytes)
}
