package views

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// Producer is a client that writes into a topic, as JSON. docs/views.md says what each field
// means.
type Producer struct {
	Connection string `json:"connection"`
	Connected  bool   `json:"connected"`
	Listener   string `json:"listener"`
	Remote     string `json:"remote"`
	Principal  string `json:"principal"`
	ClientID   string `json:"client_id"`
	Software   string `json:"software"`
	Topic      string `json:"topic"`
	// Partitions are those it has written into, as many as are counted apart.
	Partitions      int       `json:"partitions"`
	TransactionalID string    `json:"transactional_id"`
	ProducerID      int64     `json:"producer_id"`
	ProducerEpoch   int16     `json:"producer_epoch"`
	Acks            int16     `json:"acks"`
	Requests        uint64    `json:"requests"`
	Batches         uint64    `json:"batches"`
	Records         uint64    `json:"records"`
	Bytes           uint64    `json:"bytes"`
	First           time.Time `json:"first"`
	Last            time.Time `json:"last"`
}

// Producers is what /producers answers.
type Producers struct {
	At      time.Time `json:"at"`
	Matched int       `json:"matched"`
	// Forgotten is how many were dropped to make room for others.
	Forgotten uint64     `json:"forgotten"`
	Producers []Producer `json:"producers"`
}

// producerOrders are what producers can be sorted by. The largest come first.
var producerOrders = map[string]func(a, b *Producer) int{
	"requests": func(a, b *Producer) int { return cmp.Compare(a.Requests, b.Requests) },
	"records":  func(a, b *Producer) int { return cmp.Compare(a.Records, b.Records) },
	"bytes":    func(a, b *Producer) int { return cmp.Compare(a.Bytes, b.Bytes) },
	"last":     func(a, b *Producer) int { return a.Last.Compare(b.Last) },
	"topic":    func(a, b *Producer) int { return -strings.Compare(a.Topic, b.Topic) }, // a before b
}

var producerFilters = map[string]func(p *Producer) string{
	"topic":            func(p *Producer) string { return p.Topic },
	"client_id":        func(p *Producer) string { return p.ClientID },
	"principal":        func(p *Producer) string { return p.Principal },
	"transactional_id": func(p *Producer) string { return p.TransactionalID },
	"connection":       func(p *Producer) string { return p.Connection },
}

// producers answers GET /producers.
func (v *View) producers(w http.ResponseWriter, r *http.Request) {
	if v.Producers == nil {
		answer(w, http.StatusNotFound, map[string]string{"error": "/producers: what serves here is no Kafka, or does not watch who produces"})
		return
	}
	p, err := producerPageOf(r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	all, forgotten := v.Producers()
	shown, matched := p.of(all)
	answer(w, http.StatusOK, Producers{At: time.Now().UTC(), Matched: matched, Forgotten: forgotten, Producers: shown})
}
