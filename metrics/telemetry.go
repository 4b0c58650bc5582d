package metrics

import "kring/telemetry"

// Telemetry is what clients push of their own metrics (KIP-714); a *telemetry.State is one.
type Telemetry interface {
	Totals() ([]telemetry.Total, telemetry.Counts)
}

// telemetry sends what clients pushed: each of their metrics over all clients, since there may
// be as many of these as connections.
func (s *scrape) telemetry() {
	if s.c.options.Telemetry == nil {
		return
	}
	totals, counts := s.c.options.Telemetry.Totals()
	s.gauge("kring_telemetry_instances", "Client instances that push their metrics, or may.", float64(counts.Instances))
	s.counters("kring_telemetry_", []count{
		{"subscriptions", "Requests for the subscription of a client.", counts.Gets},
		{"pushes", "Pushes of clients.", counts.Pushes},
		{"pushed_bytes", "Bytes of pushes that were read, as they were sent.", counts.Bytes},
		{"inflated_bytes", "The same, decompressed.", counts.Inflated},
		{"evicted", "Client instances that were forgotten for want of room.", counts.Evicted},
		{"dropped_values", "Values of metrics that nobody asked for, or that there are too many of.", counts.Dropped},
	})
	for code, n := range counts.Rejected {
		s.counter("kring_telemetry_rejected_total", "Requests of client telemetry that were answered with an error.", n, label{"error", s.errorName(code)})
	}
	for _, t := range totals {
		kind := "gauge"
		if t.Counter {
			kind = "counter"
		}
		of := []label{{"metric", t.Name}, {"kind", kind}}
		s.gauge("kring_client_metric_sum", "What clients pushed last of a metric of their own: the sum over the clients.", t.Sum, of...)
		s.gauge("kring_client_metric_min", "The same: the smallest.", t.Min, of...)
		s.gauge("kring_client_metric_max", "The same: the largest.", t.Max, of...)
		s.gauge("kring_client_metric_clients", "How many clients pushed it.", float64(t.Instances), of...)
	}
}
