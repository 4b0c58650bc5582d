package main

import (
	"errors"
	"fmt"
	"time"

	"kring"
	"kring/quota"
)

// quotaFlags are what clients may use, and how it is measured.
type quotaFlags struct {
	Quota        []string      `group:"quotas" sep:";" placeholder:"WHO,LIMITS" help:"What clients may use per second, such as client-id=batch,produce-bytes=1MB or user=*,requests=500; repeat for more, or separate by semicolons. WHO: user, client-id, both, or ip; * is everybody without an own limit. LIMITS: produce-bytes, fetch-bytes, requests, handler-percent. Who uses more is told so, and waits."`
	QuotaWindows int           `group:"quotas" placeholder:"N" help:"Windows that rates are measured over, connection rates too [quota.window.num]. Default: 11."`
	QuotaWindow  time.Duration `group:"quotas" placeholder:"DURATION" help:"Length of one [quota.window.size.seconds]; nobody waits longer for requests or handler time. Default: 1s."`
	MaxThrottle  time.Duration `group:"quotas" placeholder:"DURATION" default:"30s" help:"How long a client may be made to wait at once. Default: ${default}."`
}

func (q *quotaFlags) validate() []error {
	if q.MaxThrottle < time.Millisecond {
		return []error{fmt.Errorf("--max-throttle %v: give 1ms or more", q.MaxThrottle)}
	}
	return nil
}

func (q *quotaFlags) apply(cfg *kring.Config) {
	cfg.QuotaWindows, cfg.QuotaWindow, cfg.ThrottleMax = q.QuotaWindows, q.QuotaWindow, q.MaxThrottle
}

// config is the same for the quotas of clients.
func (q *quotaFlags) config() quota.Config {
	cfg := quota.Config{Windows: q.QuotaWindows, Window: q.QuotaWindow, BytesThrottleMax: q.MaxThrottle}
	if q.MaxThrottle < max(q.QuotaWindow, time.Second) {
		cfg.RequestThrottleMax = q.MaxThrottle // else one window
	}
	return cfg
}

// quotas makes what --quota says; nil when it says nothing.
func (c *serveCmd) quotas() (*quota.Quotas, error) {
	if len(c.Quotas.Quota) == 0 {
		return nil, nil
	}
	if c.Handler == handlerEcho {
		return nil, errors.New("--quota: limits are for Kafka's requests, and --handler echo has none; leave one of the two out")
	}
	cfg := c.Quotas.config()
	var faults []error
	for _, text := range c.Quotas.Quota {
		limits, err := quota.ParseLimits(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("--quota %s: %w", text, err))
		}
		cfg.Limits = append(cfg.Limits, limits...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	q, err := quota.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("--quota: %w", err)
	}
	return q, nil
}
