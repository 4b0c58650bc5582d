package main

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"kring/uring"
)

// inFlags says in the words of the command line what a Config says is wrong with
// its fields. Whoever types flags has never seen a field.
func inFlags(err error) error {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = inFlag(line); !slices.Contains(lines, line) { // epoll's and portable's are one flag
			lines = append(lines, line)
		}
	}
	var faults []error
	for _, line := range lines {
		faults = append(faults, errors.New(line))
	}
	return errors.Join(faults...)
}

// packages stand before what they say, with or without the others.
var packages = regexp.MustCompile(`^(kring|configuration|uring|io_uring|embedded|epoll|portable|kafka|null handler|quota|limits on connections): `)

// field is how Config's fields are written in errors, a listener's or an address's
// with whose it is.
var field = regexp.MustCompile(`(Listeners|PerIP)\[([^\]]*)\]\.([A-Z]\w*(?:\.[A-Z]\w*)?)|\b(?:Config\.)?([A-Z]\w*(?:\.[A-Z]\w*)?)`)

func inFlag(line string) string {
	rings := false
	for {
		at := packages.FindString(line)
		if at == "" {
			break
		}
		rings = rings || strings.HasSuffix(at, "uring: ")
		line = line[len(at):]
	}
	if setting, ok := strings.CutPrefix(line, "URing."); ok {
		rings, line = true, "Config."+setting
	}
	line = strings.Replace(line, "Listeners.Name is ", "--listen: the name ", 1)
	if profile, ok := strings.CutPrefix(line, "Config.KernelProfile "); ok {
		return "--kernel-profile " + profile
	}
	if rings {
		return "--uring " + field.ReplaceAllStringFunc(line, func(word string) string {
			if key, ok := settingOf[strings.TrimPrefix(word, "Config.")]; ok {
				return key
			}
			return word
		})
	}
	return field.ReplaceAllStringFunc(line, func(word string) string {
		m := field.FindStringSubmatch(word)
		switch flag, ok := flagOf[m[4]]; {
		case m[1] == "PerIP":
			return "--ip-limit " + m[2] + " (" + perIP[m[3]] + ")"
		case m[3] == "Address":
			return "--listen " + m[2] + "://"
		case m[1] != "":
			return "--listener " + m[2] + "." + settingOfListener(m[3])
		case ok:
			return flag
		}
		return word
	})
}

// advised is a field in what a part advises at run time: of io_uring, or the bound
// of connections.
var advised = regexp.MustCompile(`\bConfig\.([A-Z]\w*)|\bConnsMax\b`)

// inAdvice puts flags where an error at run time advises to change a field.
func inAdvice(text string) string {
	return advised.ReplaceAllStringFunc(text, func(word string) string {
		name := strings.TrimPrefix(word, "Config.")
		if key, ok := settingOf[name]; ok {
			return "--uring " + key
		}
		if flag, ok := flagOf[name]; ok {
			return flag
		}
		return word
	})
}

// settingOfListener names what --listener sets of a listener: mostly as the flag for
// all listeners is called.
func settingOfListener(field string) string {
	if setting, ok := listenerSettingOf[field]; ok {
		return setting
	}
	return strings.TrimPrefix(flagOf[field], "--")
}

var listenerSettingOf = map[string]string{"SocketMode": "socket-mode", "Priority": "priority"}

// perIP are the parts of an --ip-limit.
var perIP = map[string]string{"Source": "HOST", "ConnsMax": "N", "ConnRateMax": "R"}

// settingOf are the keys of --uring.
var settingOf = uring.SettingOf()

// flagOf names the flag of each field that has one; of kring.Config, and what the
// handlers' Configs call otherwise.
var flagOf = func() map[string]string {
	all := map[string]string{
		"PartitionsMax": "the bound of partitions", "FilesMax": "the plan of descriptors (ulimit -n)",
		"AdvertiseOn": "--listener NAME.advertise",
	}
	for field, flag := range maps.All(flagOfField) {
		all[field] = "--" + flag
	}
	// The one whose number is not the flag's.
	all["HandlerMemory"] = "the cluster (without --data-dir, twice --memory-log-bytes-max)"
	return all
}()

var flagOfField = map[string]string{
	"Listeners": "listen", "Engine": "engine", "Dispatch": "dispatch", "Wait": "wait", "Gosched": "gosched", "Accept": "accept",
	"Processors": "processors", "Handlers": "handlers", "HandlerBatchMax": "handler-batch",
	"QueuedRequestsMax": "queued-requests", "QueuedPriorityMax": "queued-priority", "Priority": "priority-api",
	"QueuedRequestBytesMax": "queued-request-bytes", "LatencyTarget": "latency-target", "LatencyCounts": "latency-target",
	"PipelineMax": "pipeline", "Rebalance": "rebalance", "FrameBytesMax": "max-frame-bytes", "BigFrameBytes": "big-frame-bytes",
	"PackedBytesMax": "pack-bytes", "MemoryMax": "memory-max", "HeldMemoryMax": "held-memory", "HandlerMemory": "memory-log-bytes-max", "HeldBytesMax": "held-bytes", "QueuedResponseBytesMax": "queued-response-bytes",
	"ResponseMemoryMax": "response-memory-max",
	"SlowReader":        "slow-reader", "ThrottleMax": "max-throttle", "ConnsMax": "max-connections", "ConnRateMax": "connection-rate",
	"ConnsPerIPMax": "max-connections-per-ip", "ConnRatePerIPMax": "connection-rate-per-ip", "PerIP": "ip-limit",
	"ParkedMax": "max-parked", "HandlerFiles": "data-dir", "ProtectedListener": "protected-listener", "WhenFull": "when-full", "Assignment": "assignment",
	"QuotaWindows": "quota-windows", "QuotaWindow": "quota-window", "Backlog": "backlog", "IdleTimeout": "idle-timeout",
	"WriteTimeout": "write-timeout", "FrameTimeout": "frame-timeout", "Socket": "send-buffer-bytes", "URing": "uring",
	"Epoll": "fallback-buffers", "Portable": "fallback-buffers",
	"Epoll.Buffers": "fallback-buffers", "Portable.Buffers": "fallback-buffers",
	"Epoll.BufferBytes": "fallback-buffer-bytes", "Portable.BufferBytes": "fallback-buffer-bytes",
	"Socket.SendBufferBytes": "send-buffer-bytes", "Socket.ReceiveBufferBytes": "receive-buffer-bytes", "Socket.KeepAlive": "keep-alive",
	"Socket.KeepAliveInterval": "keep-alive-interval", "Socket.KeepAliveProbes": "keep-alive-probes",
	// Of the embedded cluster and the null handler.
	"DataDir": "data-dir", "SyncWrites": "sync-writes", "AcceptLoss": "accept-data-loss", "MemoryLogBytesMax": "memory-log-bytes-max", "Partitions": "partitions", "PartitionsDefault": "partitions",
	"Seed": "seed-topic", "Advertise": "advertise",
	// Of quotas.
	"Windows": "quota-windows", "Window": "quota-window", "BytesThrottleMax": "max-throttle", "RequestThrottleMax": "max-throttle",
}
