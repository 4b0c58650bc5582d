package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
)

// laneFlags say which requests go first, and how many at once.
type laneFlags struct {
	HandlerBatch   int           `group:"handler" placeholder:"N" help:"Most requests that a goroutine of the pool takes at once; fewer if they take long. Default: 64."`
	PriorityAPI    []string      `group:"handler" name:"priority-api" placeholder:"NAME" help:"API whose requests go before others, such as Metadata or Heartbeat; repeat for more. A whole listener: --listener NAME.priority=on."`
	QueuedPriority int           `group:"handler" placeholder:"N" help:"Requests with priority that wait for a handler. Default: as many as --queued-requests."`
	LatencyTarget  time.Duration `group:"handler" placeholder:"DURATION" help:"How long requests may take on average from their processor to their response. Each processor holds back requests that would make it longer. Long polls (Fetch, joining groups) are not measured. Default: no such bound."`
}

func (l *laneFlags) validate(handler string) (faults []error) {
	if len(l.PriorityAPI) > 0 && handler == handlerEcho {
		faults = append(faults, fmt.Errorf("--priority-api: --handler echo knows no APIs; leave one of the two out"))
	}
	for _, name := range l.PriorityAPI {
		if _, known := apiOf(name); !known {
			faults = append(faults, fmt.Errorf("--priority-api %s: there is no such API; give a name such as Metadata, FindCoordinator or Heartbeat", name))
		}
	}
	return faults
}

func (l *laneFlags) apply(cfg *kring.Config, handler string) {
	cfg.Dispatch.BatchMax, cfg.Dispatch.QueuedPriorityMax = l.HandlerBatch, l.QueuedPriority
	if handler != handlerEcho {
		cfg.Dispatch.LongPoll = func(api int16) bool { return slices.Contains(longPolls, api) }
	}
	var first []int16
	for _, name := range l.PriorityAPI {
		key, _ := apiOf(name) // checked by validate
		first = append(first, key)
	}
	if len(first) > 0 {
		cfg.Dispatch.Priority = func(r kring.Request) bool { return slices.Contains(first, r.API()) }
	}
	if cfg.Dispatch.LatencyTarget = l.LatencyTarget; l.LatencyTarget != 0 {
		cfg.Dispatch.LatencyCounts = func(r kring.Request) bool { return !slices.Contains(longPolls, r.API()) }
	}
}

// longPolls are APIs whose requests ask to wait.
var longPolls = []int16{
	int16(kmsg.Fetch), int16(kmsg.JoinGroup), int16(kmsg.SyncGroup), int16(kmsg.ShareFetch),
}

// apiOf finds an API's key by Kafka's name for it, in any case.
func apiOf(name string) (int16, bool) {
	for key := range int16(kmsg.MaxKey + 1) {
		if n := kmsg.NameForKey(key); n != "Unknown" && strings.EqualFold(n, name) {
			return key, true
		}
	}
	return 0, false
}
