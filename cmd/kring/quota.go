package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"kring"
	"kring/quota"
)

// quotaFlags are the quotas of clients, and how they are measured.
type quotaFlags struct {
	Quota        []string      `group:"quotas" sep:";" placeholder:"WHO,LIMITS" help:"What a client may use per second, such as client-id=batch,produce-bytes=1MB or user=*,requests=500; repeat for more, or separate by semicolons. WHO: user, client-id, both, or ip; * is everybody without a limit of their own. LIMITS: produce-bytes, fetch-bytes, requests, handler-percent. A client that uses more is throttled."`
	QuotaFile    string        `group:"quotas" placeholder:"FILE" help:"A file with more quotas, one on a line; # begins a comment. SIGHUP rereads it: it is taken as a whole, or refused with every fault in the log, and then the limits stay as they were."`
	QuotaWindows int           `group:"quotas" placeholder:"N" help:"Windows over which rates are measured, connection rates too [quota.window.num]. Default: 11."`
	QuotaWindow  time.Duration `group:"quotas" placeholder:"DURATION" help:"Length of a window [quota.window.size.seconds]. No client is throttled for longer for requests or handler time. Default: 1s."`
	MaxThrottle  time.Duration `group:"quotas" placeholder:"DURATION" default:"30s" help:"Longest throttle of a client at once. Default: ${default}."`
}

func (q *quotaFlags) validate() []error {
	if q.MaxThrottle < time.Millisecond {
		return []error{fmt.Errorf("--max-throttle %v: give 1ms or more", q.MaxThrottle)}
	}
	return nil
}

func (q *quotaFlags) apply(cfg *kring.Config) {
	cfg.Conns.RateWindows, cfg.Conns.RateWindow, cfg.Limits.ThrottleMax = q.QuotaWindows, q.QuotaWindow, q.MaxThrottle
}

// config is the same for the quotas of clients.
func (q *quotaFlags) config() quota.Config {
	cfg := quota.Config{Windows: q.QuotaWindows, Window: q.QuotaWindow, BytesThrottleMax: q.MaxThrottle}
	if q.MaxThrottle < max(q.QuotaWindow, time.Second) {
		cfg.RequestThrottleMax = q.MaxThrottle // else one window
	}
	return cfg
}

// quotas makes the Quotas of --quota and --quota-file; nil if neither is given, nor a
// file of --config that could have them later.
func (c *serveCmd) quotas() (*quota.Quotas, error) {
	none := len(c.Quotas.Quota) == 0 && c.Quotas.QuotaFile == ""
	if none && (c.Config == "" || c.Handler == handlerEcho) {
		return nil, nil
	}
	if c.Handler == handlerEcho {
		return nil, errors.New("--quota: limits are for Kafka's requests, and --handler echo has none; leave one of the two out")
	}
	cfg := c.Quotas.config()
	var err error
	if cfg.Limits, err = c.Quotas.limits(); err != nil {
		return nil, err
	}
	q, err := quota.New(cfg)
	if err != nil {
		return nil, inFlags(errors.New(strings.NewReplacer("Count is", "Windows is", "Size is", "Window is").Replace(err.Error())))
	}
	return q, nil
}

// limits are those of --quota, and of --quota-file as it is now.
func (q *quotaFlags) limits() (limits []quota.Limit, err error) {
	var faults []error
	for _, text := range q.Quota {
		more, err := quota.ParseLimits(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("--quota %s: %w", text, err))
		}
		limits = append(limits, more...)
	}
	if q.QuotaFile != "" {
		more, err := readQuotaFile(q.QuotaFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("--quota-file %s: %w", q.QuotaFile, err))
		}
		limits = append(limits, more...)
	}
	return limits, errors.Join(faults...)
}

func readQuotaFile(path string) ([]quota.Limit, error) {
	if err := notAPipe(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file; name one, which may be empty")
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return quota.ReadLimits(f)
}
