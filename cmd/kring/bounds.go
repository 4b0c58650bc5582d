package main

import (
	"fmt"
	"time"

	"kring"
)

// boundFlags bound what is held for clients, in bytes and time.
type boundFlags struct {
	MaxFrameBytes       size          `group:"bounds" placeholder:"BYTES" help:"Largest request [socket.request.max.bytes]; a larger one closes its connection. Default: 100MiB, or less if --memory-max is small."`
	QueuedRequests      int           `group:"bounds" placeholder:"N" help:"Requests that wait for a handler [queued.max.requests]; beyond them, connections are not read. Default: 500."`
	QueuedRequestBytes  size          `group:"bounds" placeholder:"BYTES" help:"Bytes of all requests that are received and not answered [queued.max.request.bytes]; beyond them, connections are not read. Default: 256MiB, or less if --memory-max is small, and at least what the largest request needs."`
	MemoryMax           size          `group:"bounds" placeholder:"BYTES" help:"Memory that the process may use. If it is small, other defaults are smaller. Negative: no bound. Default: the cgroup's limit, else three quarters of the machine's memory."`
	HeldMemory          size          `group:"bounds" placeholder:"BYTES" help:"Memory for received bytes that are no whole request yet, over all connections. When half of it is used, requests are received one at a time. Default: 128MiB, or less if --memory-max is small."`
	HeldBytes           size          `group:"bounds" placeholder:"BYTES" help:"Bytes that are read ahead of a connection's requests. Beyond that the connection is not read. Default: 256KiB."`
	QueuedResponseBytes size          `group:"bounds" placeholder:"BYTES" help:"Response bytes that may wait on a connection before its next request is started; see --slow-reader. Default: 1MiB."`
	ResponseMemoryMax   size          `group:"bounds" placeholder:"BYTES" help:"Memory of all responses that are made and not sent yet, over all connections. Beyond it requests wait. A quarter is reserved for small responses. At least 8MiB. Default: 128MiB, or less if --memory-max is small."`
	SlowReader          string        `group:"bounds" enum:"pause, throttle, close" default:"pause" help:"What happens to a connection that reaches --queued-response-bytes with more than one response: ${enum}. pause starts no request of it until it reads, throttle also mutes it for a second, close closes it. Default: ${default}."`
	WriteTimeout        time.Duration `group:"bounds" placeholder:"DURATION" default:"30s" help:"How long a client may read nothing of a response before its connection is closed; a tenth of that while others wait for response memory. Negative: for ever. Default: ${default}."`
	FrameTimeout        time.Duration `group:"bounds" placeholder:"DURATION" default:"30s" help:"How long a client that has begun a request may send nothing of it before its connection is closed. The whole request may take twice that and a second for each 256 KiB. Negative: for ever. Default: ${default}."`
	IdleTimeout         time.Duration `group:"bounds" placeholder:"DURATION" default:"10m" help:"How long a connection may be silent with nothing in flight before it is closed [connections.max.idle.ms]. Negative: for ever. Default: ${default}."`
	FallbackBuffers     int           `group:"bounds" placeholder:"N" help:"Receive buffers of each engine other than io_uring (for io_uring: --uring buffers=N). Default: 256."`
	FallbackBufferBytes size          `group:"bounds" placeholder:"BYTES" help:"Size of each of these. Default: 16KiB."`
}

// validate refuses 0 where it has no meaning.
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
