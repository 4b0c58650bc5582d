package main

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"kring/uring"
)

// inFlags rewrites an error about fields of a Config to name flags: a user of the
// program does not know the fields.
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

// packages are the prefixes of errors.
var packages = regexp.MustCompile(`^(kring|configuration|uring|io_uring|embedded|epoll|portable|kafka|null handler|quota|limits on connections): `)

// field matches Config's fields in errors; those of a listener or an address with its
// name.
var field = regexp.MustCompile(`(Listeners|Conns\.PerIP)\[([^\]]*)\]\.([A-Z]\w*(?:\.[A-Z]\w*)?)|\b(?:Config\.)?([A-Z]\w*(?:\.[A-Z]\w*)?)`)

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
		case m[1] == "Conns.PerIP":
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

// advised matches a field in the advice of a run-time error: one of io_uring's, or the
// bound on connections.
var advised = regexp.MustCompile(`\bConfig\.([A-Z]\w*)|\bConnsMax\b`)

// inAdvice replaces fields by flags in the advice of a run-time error.
func inAdvice(text string) string {
	return advised.ReplaceAllStringFunc(text, func(word string) string {
		name := strings.TrimPrefix(word, "Config.")
		if key, ok := settingOf[name]; ok {
			return "--uring " + key
		}
		if name == "ConnsMax" { // as the acceptor calls it
			name = "Conns.Max"
		}
		if flag, ok := flagOf[name]; ok {
			return flag
		}
		return word
	})
}

// settingOfListener is the --listener setting of each field, mostly the name of the flag
// for all listeners.
func settingOfListener(field string) string {
	if setting, ok := listenerSettingOf[field]; ok {
		return setting
	}
	return strings.TrimPrefix(flagOf[field], "--")
}

var listenerSettingOf = map[string]string{
	"SocketMode": "socket-mode", "Priority": "priority", "Backlog": "backlog", "ConnsMax": "max-connections", "ConnRateMax": "connection-rate",
}

// perIP are the parts of an --ip-limit.
var perIP = map[string]string{"Source": "HOST", "ConnsMax": "N", "ConnRateMax": "R"}

// settingOf are the keys of --uring.
var settingOf = uring.SettingOf()

// flagOf is the flag of each field of kring.Config that has one, and of fields of the
// handlers' Configs.
var flagOf = func() map[string]string {
	all := map[string]string{
		"PartitionsMax": "the bound of partitions", "WaitsMax": "the bound of requests that wait", "KeptBytesMax": "the bound of what clients leave behind", "FilesMax": "the plan of descriptors (ulimit -n)",
		"AdvertiseOn": "--listener NAME.advertise",
	}
	for field, flag := range maps.All(flagOfField) {
		all[field] = "--" + flag
	}
	// Its value is not the flag's.
	all["Memory.HandlerBytes"] = "the cluster (without --data-dir, twice --memory-log-bytes-max)"
	return all
}()

var flagOfField = map[string]string{
	"Listeners": "listen", "Engine": "engine", "Dispatch.Mode": "dispatch", "Processors.Wait": "wait", "Processors.Gosched": "gosched", "Processors.Accept": "accept",
	"Processors.Count": "processors", "Dispatch.Handlers": "handlers", "Dispatch.BatchMax": "handler-batch",
	"Dispatch.QueuedRequestsMax": "queued-requests", "Dispatch.QueuedPriorityMax": "queued-priority", "Dispatch.Priority": "priority-api",
	"Memory.RequestBytesMax": "queued-request-bytes", "Dispatch.LatencyTarget": "latency-target", "Measure.ClientIDsMax": "metrics-client-ids", "Measure.SlowRequest": "slow-request", "Dispatch.LatencyCounts": "latency-target",
	"Limits.PipelineMax": "pipeline", "Processors.Rebalance": "rebalance", "Limits.FrameBytesMax": "max-frame-bytes", "Processors.BigFrameBytes": "big-frame-bytes",
	"Processors.PackedBytesMax": "pack-bytes", "Memory.BytesMax": "memory-max", "Memory.HeldBytesMax": "held-memory", "Memory.HandlerBytes": "memory-log-bytes-max", "Limits.HeldBytesMax": "held-bytes", "Limits.QueuedResponseBytesMax": "queued-response-bytes",
	"Memory.ResponseBytesMax": "response-memory-max",
	"Limits.SlowReader":       "slow-reader", "Limits.ThrottleMax": "max-throttle", "Conns.Max": "max-connections", "Conns.RateMax": "connection-rate",
	"Conns.PerIPMax": "max-connections-per-ip", "Conns.RatePerIPMax": "connection-rate-per-ip", "Conns.PerIP": "ip-limit",
	"Conns.ThrottledConnsMax": "max-parked", "Conns.HandlerFiles": "data-dir", "Conns.ProtectedListener": "protected-listener", "Conns.WhenFull": "when-full", "Processors.Assignment": "assignment",
	"Conns.RateWindows": "quota-windows", "Conns.RateWindow": "quota-window", "Conns.Backlog": "backlog", "Timeouts.Idle": "idle-timeout",
	"Timeouts.Write": "write-timeout", "Timeouts.Frame": "frame-timeout", "Timeouts.Proxy": "proxy-timeout", "Timeouts.Authentication": "auth-timeout", "ProxyProtocol": "proxy-protocol", "Socket": "send-buffer-bytes", "URing": "uring",
	"Epoll": "fallback-buffers", "Portable": "fallback-buffers",
	"Epoll.Buffers": "fallback-buffers", "Portable.Buffers": "fallback-buffers",
	"Epoll.BufferBytes": "fallback-buffer-bytes", "Portable.BufferBytes": "fallback-buffer-bytes",
	"Socket.SendBufferBytes": "send-buffer-bytes", "Socket.ReceiveBufferBytes": "receive-buffer-bytes", "Socket.KeepAlive": "keep-alive",
	"Socket.KeepAliveInterval": "keep-alive-interval", "Socket.KeepAliveProbes": "keep-alive-probes",
	// Of the embedded cluster and the null handler.
	"DataDir": "data-dir", "SyncWrites": "sync-writes", "AcceptLoss": "accept-data-loss", "MemoryLogBytesMax": "memory-log-bytes-max", "WaitsMax": "memory-max", "KeptBytesMax": "memory-max", "Partitions": "partitions", "PartitionsDefault": "partitions",
	"Seed": "seed-topic", "Advertise": "advertise",
	// Of quotas.
	"Windows": "quota-windows", "Window": "quota-window", "BytesThrottleMax": "max-throttle", "RequestThrottleMax": "max-throttle",
}
