package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// QuotaUse is what an entity of a quota uses at the moment.
type QuotaUse struct {
	// Kind is what is limited: produce-bytes, fetch-bytes, requests or handler-percent.
	Kind               string
	User, ClientID, IP string // empty: any
	PerSecond, Limit   float64
	Throttle           time.Duration // what a request of now would have to wait
}

// quotasMax is the default of Options.QuotasMax.
const quotasMax = 100

// kafkaQuotas are Kafka's beans and attributes of the kinds that it has.
var kafkaQuotas = map[string]struct{ resource, use, help string }{
	"produce-bytes":   {"Produce", "byte_rate", "Bytes a second that are produced or fetched [byte-rate]."},
	"fetch-bytes":     {"Fetch", "byte_rate", "Bytes a second that are produced or fetched [byte-rate]."},
	"handler-percent": {"Request", "request_time", "Percent of a handler's time [request-time]."},
}

// shownQuotas are those that are shown: who waits longest comes first, then who uses most of
// its limit.
func (s *scrape) shownQuotas() []QuotaUse {
	if s.c.options.Quotas == nil {
		return nil
	}
	all := s.c.options.Quotas()
	for i := range all {
		all[i].User, all[i].ClientID = labelOf(all[i].User), labelOf(all[i].ClientID)
	}
	slices.SortFunc(all, func(a, b QuotaUse) int {
		return cmp.Or(cmp.Compare(b.Throttle, a.Throttle), cmp.Compare(b.PerSecond/b.Limit, a.PerSecond/a.Limit),
			cmp.Compare(a.User, b.User), cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.IP, b.IP), cmp.Compare(a.Kind, b.Kind))
	})
	type series struct{ kind, user, client, ip string }
	shown := map[series]bool{}
	all = slices.DeleteFunc(all, func(q QuotaUse) bool { // those that look alike by now are one
		of := series{q.Kind, q.User, q.ClientID, q.IP}
		was := shown[of]
		shown[of] = true
		return was
	})
	return all[:min(len(all), max(s.c.options.QuotasMax, 0))]
}

// labelBytesMax bounds a name that a client chose.
const labelBytesMax = 256

// labelOf is such a name as a label, which has to be UTF-8.
func labelOf(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), labelBytesMax)], "\uFFFD")
}

// quotas sends those of users and client ids under Kafka's names.
func (s *scrape) quotas() {
	for _, q := range s.used {
		of, known := kafkaQuotas[q.Kind]
		if !known || q.IP != "" {
			continue
		}
		labels := []label{{"resource", of.resource}, {"user", q.User}, {"clientId", q.ClientID}}
		s.kafkaGauge(server+"quota_"+of.use, of.help, q.PerSecond, slices.Clone(labels)...)
		s.kafkaGauge(server+"quota_throttle_time", "Milliseconds that a request of now would be throttled for [throttle-time].", float64(q.Throttle)/1e6, labels...)
	}
}

// ownQuotas sends all that are shown, with their limits.
func (s *scrape) ownQuotas() {
	for _, q := range s.used {
		of := []label{{"kind", q.Kind}, {"user", q.User}, {"client_id", q.ClientID}, {"ip", q.IP}}
		s.gauge("kring_quota_use", "What an entity uses now, in the units of its limit.", q.PerSecond, of...)
		s.gauge("kring_quota_limit", "What it may use: bytes or requests a second, or percent of a handler.", q.Limit, of...)
		s.gauge("kring_quota_throttle_seconds", "What a request of now would be throttled for.", q.Throttle.Seconds(), of...)
	}
}
