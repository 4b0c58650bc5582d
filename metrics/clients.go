package metrics

// clients sends what client ids do, as many of them as are counted each for itself.
func (s *scrape) clients() {
	for _, c := range s.now.Clients {
		of := label{"client_id", c.ID}
		s.gauge("kring_client_connections", "Open connections of a client id; other: of all ids beyond the bound.", float64(c.Conns), of)
		s.counter("kring_client_requests_total", "Requests of connections of the client id, since it has some.", c.Requests, of)
		s.counter("kring_client_bytes_received_total", "Bytes received on them.", c.BytesIn, of)
		s.counter("kring_client_bytes_sent_total", "Bytes sent on them.", c.BytesOut, of)
	}
}
