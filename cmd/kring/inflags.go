package main

import (
	"errors"
	"strings"
)

// inFlags puts the flag in front of what a Config says is wrong with its field.
func inFlags(err error) error {
	var faults []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		field, _, _ := strings.Cut(line, " ")
		if flag, ok := flagOf[strings.TrimSuffix(field, ",")]; ok {
			line = "--" + flag + ": " + line
		}
		faults = append(faults, errors.New(line))
	}
	return errors.Join(faults...)
}

// flagOf names the flag of each field of kring.Config that has one.
var flagOf = map[string]string{
	"Listeners": "listen", "Engine": "engine", "Dispatch": "dispatch", "Wait": "wait", "Gosched": "gosched", "Accept": "accept",
	"Processors": "processors", "Handlers": "handlers", "HandlerBatchMax": "handler-batch",
	"QueuedRequestsMax": "queued-requests", "QueuedPriorityMax": "queued-priority", "Priority": "priority-api",
	"QueuedRequestBytesMax": "queued-request-bytes", "LatencyTarget": "latency-target", "LatencyCounts": "latency-target",
	"PipelineMax": "pipeline", "Rebalance": "rebalance", "FrameBytesMax": "max-frame-bytes", "BigFrameBytes": "big-frame-bytes",
	"PackedBytesMax": "pack-bytes", "HeldBytesMax": "held-bytes", "QueuedResponseBytesMax": "queued-response-bytes",
	"SlowReader": "slow-reader", "ThrottleMax": "max-throttle", "ConnsMax": "max-connections", "ConnRateMax": "connection-rate",
	"ConnsPerIPMax": "max-connections-per-ip", "ConnRatePerIPMax": "connection-rate-per-ip", "PerIP": "ip-limit",
	"ParkedMax": "max-parked", "HandlerFiles": "data-dir", "ProtectedListener": "protected-listener", "WhenFull": "when-full", "Assignment": "assignment",
	"QuotaWindows": "quota-windows", "QuotaWindow": "quota-window", "Backlog": "backlog", "IdleTimeout": "idle-timeout",
	"WriteTimeout": "write-timeout", "Socket": "send-buffer-bytes", "URing": "uring",
	"Epoll": "fallback-buffers", "Portable": "fallback-buffers",
	"Socket.SendBufferBytes": "send-buffer-bytes", "Socket.ReceiveBufferBytes": "receive-buffer-bytes",
	"Socket.KeepAliveInterval": "keep-alive-interval", "Socket.KeepAliveProbes": "keep-alive-probes",
}
