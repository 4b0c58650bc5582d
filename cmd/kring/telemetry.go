package main

import (
	"errors"
	"fmt"

	"kring/telemetry"
)

// telemetryFlags are about what clients push of their own metrics (KIP-714).
type telemetryFlags struct {
	ClientTelemetry             bool     `group:"observe" help:"Ask clients for their own metrics (KIP-714; Java 3.7, librdkafka 2.5 and later), and show them in /connections, and over all clients in /metrics. Needs --http. Default: clients are asked for nothing."`
	ClientTelemetrySubscription []string `group:"observe" sep:";" placeholder:"PARTS" help:"What clients push, instead of the default: metrics=PREFIX,… interval.ms=N match=NAME=REGEXP,… separated by spaces; repeat for more, or separate by semicolons. NAME: client_id, client_software_name, client_software_version, client_source_address, client_source_port or client_instance_id. metrics=* is all, metrics= nothing; without it the default ones. Default: connections, latencies and waits of all clients, every 30 seconds."`
}

// state is what receives pushes; nil: nobody is asked.
func (t *telemetryFlags) state() (*telemetry.State, error) {
	if !t.ClientTelemetry {
		return nil, nil
	}
	var cfg telemetry.Config
	for _, text := range t.ClientTelemetrySubscription {
		s, err := telemetry.ParseSubscription(text)
		if err != nil {
			return nil, fmt.Errorf("--client-telemetry-subscription %q: %w", text, err)
		}
		cfg.Subscriptions = append(cfg.Subscriptions, s)
	}
	return telemetry.New(cfg)
}

func (t *telemetryFlags) validate(handler, http string) (faults []error) {
	if len(t.ClientTelemetrySubscription) > 0 && !t.ClientTelemetry {
		faults = append(faults, errors.New("--client-telemetry-subscription needs --client-telemetry"))
	}
	if t.ClientTelemetry && handler == handlerEcho {
		faults = append(faults, errors.New("--client-telemetry: --handler echo does not speak Kafka; leave one of the two out"))
	}
	if t.ClientTelemetry && http == "" {
		faults = append(faults, errors.New("--client-telemetry: nobody would see it; give --http ADDRESS as well"))
	}
	if _, err := t.state(); err != nil {
		faults = append(faults, err)
	}
	return faults
}
