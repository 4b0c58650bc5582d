package views

import (
	"net/http"
	"time"

	"kring/internal/measure"
	"kring/processor"
)

// Processor is one event loop, as JSON. Counts are since its start.
type Processor struct {
	ID             uint32  `json:"id"`
	Open           int64   `json:"open"`
	Idle           float64 `json:"idle"` // share of its life that it had nothing to do, 0 to 1
	IdleNanos      int64   `json:"idle_ns"`
	AliveNanos     int64   `json:"alive_ns"`
	Requests       uint64  `json:"requests"`
	Responses      uint64  `json:"responses"`
	Sends          uint64  `json:"sends"`
	BytesIn        uint64  `json:"bytes_in"`
	BytesOut       uint64  `json:"bytes_out"`
	AnswersWaiting int64   `json:"answers_waiting"`
	Polls          uint64  `json:"polls"`
	Enters         uint64  `json:"enters"`
	SQEsPerEnter   float64 `json:"sqes_per_enter"`
	CQEsPerEnter   float64 `json:"cqes_per_enter"`
	Rearmed        uint64  `json:"rearmed"`
	NoBuffers      uint64  `json:"no_buffers"`
	Overflows      uint64  `json:"overflows"`
	MovedIn        uint64  `json:"moved_in"`
	MovedOut       uint64  `json:"moved_out"`
	Held           uint64  `json:"held"`
	MemoryWaits    uint64  `json:"memory_waits"`
	SlowReaders    uint64  `json:"slow_readers"`
}

func processorOf(p *processor.Stats) Processor {
	shown := Processor{
		ID: p.ID, Open: p.Open(), Idle: measure.Ratio(p.IdleNanos, p.AliveNanos), IdleNanos: p.IdleNanos, AliveNanos: p.AliveNanos,
		Requests: p.Requests, Responses: p.Responses, Sends: p.Sends, BytesIn: p.BytesIn, BytesOut: p.BytesOut,
		AnswersWaiting: p.ResponsesWaiting, Polls: p.Polls,
		MovedIn: p.MovedIn, MovedOut: p.MovedOut, Held: p.Held, MemoryWaits: p.Waits, SlowReaders: p.SlowReaders,
	}
	if p.Engine != nil {
		e := p.Engine.Snapshot()
		shown.Enters, shown.Rearmed, shown.NoBuffers, shown.Overflows = e.Enters, e.Rearmed, e.Exhausted, e.Overflows
		shown.SQEsPerEnter, shown.CQEsPerEnter = e.SubmittedPerEnter(), e.CompletedPerEnter()
	}
	return shown
}

// ProcessorList is what /processors answers.
type ProcessorList struct {
	At         time.Time   `json:"at"`
	Processors []Processor `json:"processors"`
}

// processors answers GET /processors.
func (v *View) processors(w http.ResponseWriter, r *http.Request) {
	st := v.Source.Stats()
	body := ProcessorList{At: time.Now().UTC(), Processors: []Processor{}}
	for i := range st.Processors {
		body.Processors = append(body.Processors, processorOf(&st.Processors[i]))
	}
	answer(w, http.StatusOK, body)
}
