package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetch answers with no records, after the time that the client wants to wait.
func (n *Null) fetch(r APIRequest, req *kmsg.FetchRequest) {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	wait := min(time.Duration(req.MaxWaitMillis)*time.Millisecond, n.config.FetchWaitMax)
	if req.SessionID != 0 {
		resp.ErrorCode = codeFetchSessionIDNotFound // there are no sessions: the client asks for everything again
		wait = 0
	}
	table, partitions := n.topics.table.Load(), 0
	for i := range req.Topics {
		asked := &req.Topics[i]
		topic, unknown := table.byName[asked.Topic], int16(codeUnknownTopicOrPartition)
		if req.Version >= 13 {
			topic, unknown = table.byID[asked.TopicID], codeUnknownTopicID
		}
		answer := kmsg.NewFetchResponseTopic()
		answer.Topic, answer.TopicID = asked.Topic, asked.TopicID
		for j := range asked.Partitions {
			p := fetchPartition(topic, &asked.Partitions[j], unknown)
			if p.ErrorCode != 0 {
				wait = 0
			}
			answer.Partitions = append(answer.Partitions, p)
			partitions++
		}
		resp.Topics = append(resp.Topics, answer)
	}
	if partitions == 0 || req.MinBytes <= 0 || wait <= 0 || !n.waits.add(r, resp, wait) {
		r.Respond(resp)
	}
}

// fetchPartition is a partition without records: its log starts where it ends.
func fetchPartition(t *nullTopic, asked *kmsg.FetchRequestTopicPartition, unknown int16) kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.RecordBatches = asked.Partition, []byte{}
	end, ok := t.end(asked.Partition)
	switch {
	case t == nil:
		p.ErrorCode = unknown
	case !ok:
		p.ErrorCode = codeUnknownTopicOrPartition
	case asked.FetchOffset != end:
		p.ErrorCode = codeOffsetOutOfRange
	}
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = end, end, end
	return p
}

// listOffsets answers every question about time with the end of the log.
func (n *Null) listOffsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	table := n.topics.table.Load()
	for i := range req.Topics {
		asked := &req.Topics[i]
		answer := kmsg.NewListOffsetsResponseTopic()
		answer.Topic = asked.Topic
		for j := range asked.Partitions {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition, p.LeaderEpoch = asked.Partitions[j].Partition, 0
			end, ok := table.byName[asked.Topic].end(p.Partition)
			if !ok {
				p.ErrorCode = codeUnknownTopicOrPartition
			} else if asked.Partitions[j].Timestamp < 0 {
				p.Offset = end
			} // a time of day: no record is that new, so offset and timestamp stay -1
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

// fetchWaits holds the waiting Fetches. They hold no goroutine: each has a timer, and
// ends early with its connection's context.
type fetchWaits struct {
	mu     sync.Mutex
	open   map[*fetchWait]struct{} // guarded by mu
	closed bool                    // guarded by mu
}

// fetchWait is one Fetch that waits.
//
// Invariant: whoever removes it from open answers it, nobody else.
type fetchWait struct {
	request APIRequest
	resp    kmsg.Response
	timer   *time.Timer
	unwatch func() bool // ends watching the connection
}

// add makes r wait; false after close, or if wait is 0.
func (s *fetchWaits) add(r APIRequest, resp kmsg.Response, wait time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := r.Raw.Conn()
	if s.closed || conn.Ended() {
		return false
	}
	if s.open == nil {
		s.open = map[*fetchWait]struct{}{}
	}
	w := &fetchWait{request: r, resp: resp}
	s.open[w] = struct{}{}
	// Both find w complete: they take it under mu.
	w.timer = time.AfterFunc(wait, func() {
		if s.take(w) {
			w.unwatch()
			w.request.Respond(w.resp)
		}
	})
	w.unwatch = context.AfterFunc(conn.Context(), func() {
		if s.take(w) {
			w.timer.Stop()
			w.request.NoResponse()
		}
	})
	return true
}

// take removes w; false if another goroutine did.
func (s *fetchWaits) take(w *fetchWait) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, mine := s.open[w]
	delete(s.open, w)
	return mine
}

// close answers all that wait.
func (s *fetchWaits) close() {
	s.mu.Lock()
	all := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for w := range all {
		w.timer.Stop()
		w.unwatch()
		w.request.Respond(w.resp)
	}
}
