package kring

import (
	"time"

	"kring/internal/fault"
	"kring/processor"
	"kring/reqchan"
)

// MeasureConfig says what is measured beside the counts that are always there:
// Config.Measure.
type MeasureConfig struct {
	// ClientIDsMax is how many client ids Stats.Clients counts each for itself; clients
	// choose their ids, so there has to be a bound. Default 0: client ids are not counted.
	// The Handler says them (Conn.SetClientID; kafka.Filter does).
	ClientIDsMax int
	// SlowRequest is how long a request may take, from its arrival until its response is
	// sent, before Events.SlowRequest is told. What the client asked to wait
	// (Request.AskedToWait) is not counted. Default 0: nobody is told.
	SlowRequest time.Duration
}

// ClientCount is how many open connections a client id has, and what connections of it did
// since the id was seen first: requests, and bytes received and sent. An id without
// connections is forgotten.
type ClientCount = reqchan.ClientCount

// SlowRequest is a request that took longer than MeasureConfig.SlowRequest, and where:
// Conn, API, Version, ErrorCode, Requests (answered together with it), Bytes, ResponseBytes,
// Asked, and the times Queue, Local, Remote, ResponseQueue, Send, Total and Throttle. Whole:
// `go doc kring/processor.SlowRequest`.
type SlowRequest = processor.SlowRequest

// clientIDsMost is the largest ClientIDsMax: each is some series in a scrape.
const clientIDsMost = 10_000

func (c *Config) validateMeasure(faults *fault.List) {
	faults.Add(c.Measure.ClientIDsMax < 0 || c.Measure.ClientIDsMax > clientIDsMost, "Measure.ClientIDsMax", "is %v: choose 0 (none) to %d", c.Measure.ClientIDsMax, clientIDsMost)
	faults.Add(c.Measure.SlowRequest < 0, "Measure.SlowRequest", "is %v: choose 0 (nobody is told) or more", c.Measure.SlowRequest)
}

// slowRequest tells of a slow request. A panic there ends nothing.
func (s *Server) slowRequest(r SlowRequest) {
	defer s.watcherPanicked()
	s.events.SlowRequest(r)
}
