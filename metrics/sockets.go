package metrics

import (
	"strconv"

	"kring/acceptor"
	"kring/processor"
)

const group = server + "socket_server_metrics_"

// kafkaSockets sends the group socket-server-metrics. Kafka has one set of each for every
// processor of every listener; here connections are counted by listener, and bytes over
// all processors, or by processor when that is asked for.
func (s *scrape) kafkaSockets() {
	for _, l := range s.now.Listeners {
		s.kafkaListener(l)
	}
	s.kafkaGauge(group+"broker_connection_accept_rate", "Connections a second that were admitted, over all listeners.", s.now.AcceptRate)
	s.authentications()
	for _, n := range s.now.Software {
		s.kafkaGauge(group+"connections_software", "Open connections by client software.", float64(n.Connections),
			label{"clientSoftwareName", n.Name}, label{"clientSoftwareVersion", n.Version})
	}
	if !s.c.options.PerProcessor {
		s.kafkaProcessor(s.now.Total, s.since.stats.Total)
		return
	}
	for _, p := range s.now.Processors {
		s.kafkaProcessor(p, s.processorBefore(p.ID), label{"networkProcessor", strconv.Itoa(int(p.ID))})
	}
}

func (s *scrape) kafkaListener(l acceptor.ListenerStats) {
	of, before := label{"listener", l.Name}, s.listenerBefore(l.Name)
	s.kafkaGauge(group+"connection_count", "Open connections.", float64(l.Open), of)
	s.kafkaCounter(group+"connection_creation_total", "Connections that were accepted.", l.Accepted, of)
	s.kafkaGauge(group+"connection_creation_rate", "Accepted connections a second, over a minute.", s.rate(l.Accepted, before.Accepted), of)
	s.kafkaCounter(group+"connection_close_total", "Connections that ended.", ended(l), of)
	s.kafkaGauge(group+"connection_close_rate", "Connections that ended a second, over a minute.", s.rate(ended(l), ended(before)), of)
	s.kafkaGauge(group+"connection_accept_rate", "Connections a second that were admitted.", l.AcceptRate, of)
}

// ended is how many connections of a listener were accepted and are open no more.
func ended(l acceptor.ListenerStats) uint64 {
	return l.Accepted - min(l.Accepted, uint64(max(l.Open, 0)))
}

// listenerBefore finds a listener in the snapshot that is compared with.
func (s *scrape) listenerBefore(name string) acceptor.ListenerStats {
	for _, l := range s.since.stats.Listeners {
		if l.Name == name {
			return l
		}
	}
	return acceptor.ListenerStats{}
}

// processorBefore finds a processor in the snapshot that is compared with.
func (s *scrape) processorBefore(id uint32) processor.Stats {
	for _, p := range s.since.stats.Processors {
		if p.ID == id {
			return p
		}
	}
	return processor.Stats{}
}

// kafkaProcessor sends what processors count. A Selector's requests are what it sends, and
// its responses what it receives: the names are of clients, which Kafka kept.
func (s *scrape) kafkaProcessor(p, before processor.Stats, of ...label) {
	count := func(name, help string, now, before uint64) {
		s.kafkaCounter(group+name+"_total", help+".", now, of...)
		s.kafkaGauge(group+name+"_rate", help+" a second, over a minute.", s.rate(now, before), of...)
	}
	count("incoming_byte", "Bytes received", p.BytesIn, before.BytesIn)
	count("outgoing_byte", "Bytes sent", p.BytesOut, before.BytesOut)
	count("response", "Requests received (a Selector's responses)", p.Requests, before.Requests)
	count("request", "Responses sent (a Selector's requests)", p.Responses, before.Responses)
	count("select", "Passes of the event loop", p.Polls, before.Polls)
	s.kafkaCounter(group+"io_wait_time_ns_total", "Nanoseconds of waiting with nothing to do.", uint64(max(p.IdleNanos, 0)), of...)
	idle := 1.0
	if alive := p.AliveNanos - before.AliveNanos; alive > 0 {
		idle = min(max(float64(p.IdleNanos-before.IdleNanos)/float64(alive), 0), 1)
	}
	s.kafkaGauge(group+"io_wait_ratio", "Share of time of waiting with nothing to do, over a minute, 0 to 1.", idle, of...)
}

// boardVariables sends what the variables of dashboards are read from.
func (s *scrape) boardVariables() {
	if s.c.options.Dialect == Confluent {
		s.gauge(server+"kafkaserver_brokerstate", "3: the broker runs [BrokerState].", 3)
	}
	if s.c.options.Leaders == nil {
		return
	}
	if n, known := s.c.options.Leaders(); known {
		s.gauge(server+"replicamanager_leadercount", "Partitions that this broker leads [LeaderCount].", float64(n))
	}
}
