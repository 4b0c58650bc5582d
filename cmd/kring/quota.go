package main

import (
	"errors"
	"fmt"

	"kring/quota"
)

// quotas makes what --quota says; nil when it says nothing.
func (c *serveCmd) quotas() (*quota.Quotas, error) {
	if len(c.Quota) == 0 {
		return nil, nil
	}
	if c.Handler == handlerEcho {
		return nil, errors.New("--quota: limits are for Kafka's requests, and --handler echo has none; leave one of the two out")
	}
	var cfg quota.Config
	var faults []error
	for _, text := range c.Quota {
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
