package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"kring/kafka"
	"kring/reqchan"
)

// session is one client connection's connection to kfake.
//
// kfake serves a connection strictly one request at a time, so a session does
// too: it writes a frame and waits for its response. The goroutine that does it
// (run) exists only while jobs wait; an idle client costs none.
type session struct {
	cluster *Cluster
	client  *reqchan.Conn
	ended   chan struct{} // closed by end
	order   order

	mu      sync.Mutex
	jobs    []job    // guarded by mu; at most the processor's PipelineMax
	running bool     // guarded by mu; run is alive and will see jobs
	over    bool     // guarded by mu; no job will be taken any more
	pipe    net.Conn // guarded by mu; made by run, closed by end

	head [reqchan.SizeBytes + correlationBytes]byte // owned by run
}

// job is a request and what is to be done with it.
type job struct {
	request *reqchan.Request
	version int16
	// metadata is the body of a Metadata request, nil for any other: its topics may
	// have to be created first.
	metadata []byte
	// shown is the payload that kfake sees, nil when it is the request's own.
	shown []byte
	// answer, if set, answers the request by kfake's response, which is valid
	// until it returns.
	answer func(response []byte)
	// before and after, if set, run around the exchange with kfake. Their
	// errors close the connection: what was asked may be done or not.
	before func() error
	after  func(response []byte) error
	poll   bool // it may wait long, and is given up when the client goes
}

const (
	correlationAt    = 4 // in a payload: API key, API version, correlation id
	correlationBytes = 4
)

var errEnded = errors.New("the connection ended")

func newSession(c *Cluster, client *reqchan.Conn) *session {
	return &session{cluster: c, client: client, ended: make(chan struct{})}
}

// add hands a job to the session. It does not block.
func (s *session) add(j job) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		j.request.CloseConnection(reqchan.BackendFailed)
		return
	}
	s.jobs = append(s.jobs, j)
	start := !s.running
	if start {
		s.running = true
		s.cluster.sessions.running.Add(1) // under mu: never after Close began to wait
	}
	s.mu.Unlock()
	if start {
		go s.run()
	}
}

// end closes the session: what waits in kfake is given up there, what is
// outstanding is answered by closing its connection. It does not block.
func (s *session) end() {
	s.mu.Lock()
	over, pipe := s.over, s.pipe
	s.over = true
	s.mu.Unlock()
	if over {
		return
	}
	close(s.ended)
	if pipe != nil {
		_ = pipe.Close() // net.Pipe: cannot fail
	}
	s.order.end()
}

func (s *session) run() {
	s.cluster.sessions.alive.Add(1)
	defer s.cluster.sessions.running.Done()
	defer s.cluster.sessions.alive.Add(-1)
	for {
		j, ok := s.next()
		if !ok {
			return
		}
		err := s.exchangeOrGiveUp(j)
		if err != nil {
			s.cluster.log.Debug("embedded: connection to the cluster failed",
				"conn", s.client.ID.String(), "error", err)
			s.end()
			j.request.CloseConnection(reqchan.BackendFailed)
		}
	}
}

// next takes the oldest job; without one, run is over.
func (s *session) next() (j job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.jobs) == 0 {
		s.running, s.jobs = false, nil
		return job{}, false
	}
	j = s.jobs[0]
	s.jobs[0] = job{}
	s.jobs = s.jobs[1:]
	return j, true
}

// exchangeOrGiveUp is exchange, but a poll ends at once when its client has
// gone. What the client sent behind it is still served, on a new pipe.
func (s *session) exchangeOrGiveUp(j job) error {
	if !j.poll {
		return s.exchange(j)
	}
	pipe, err := s.connect()
	if err != nil {
		return err
	}
	unwatch := context.AfterFunc(s.client.Context(), func() { _ = pipe.Close() })
	err = s.exchange(j)
	if unwatch() || !s.disconnect(pipe) {
		return err
	}
	if err != nil {
		j.request.NoResponse()
	}
	return nil
}

// disconnect forgets a pipe that was closed; false when the session is over.
func (s *session) disconnect(pipe net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipe == pipe {
		s.pipe = nil
	}
	return !s.over
}

// exchange sends a request to kfake and answers it. On an error the request is
// not answered, and nobody but the caller refers to its memory any more.
func (s *session) exchange(j job) error {
	pipe, err := s.connect()
	if err != nil {
		return err
	}
	if j.metadata != nil {
		s.cluster.createTopics(j.version, j.metadata)
	}
	if j.before != nil {
		if err := j.before(); err != nil {
			return err
		}
	}
	payload := j.shown
	if payload == nil {
		payload = j.request.Payload
	}
	size := s.head[:reqchan.SizeBytes]
	binary.BigEndian.PutUint32(size, uint32(len(payload)))
	if _, err := pipe.Write(size); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := pipe.Write(payload); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return s.respond(pipe, j)
}

// respond reads the response into the request's buffer and answers with it.
func (s *session) respond(pipe net.Conn, j job) error {
	r := j.request
	if _, err := io.ReadFull(pipe, s.head[:]); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	n := binary.BigEndian.Uint32(s.head[:])
	got := s.head[reqchan.SizeBytes:]
	asked := r.Payload[correlationAt : correlationAt+correlationBytes]
	if n < correlationBytes || string(got) != string(asked) {
		return fmt.Errorf("response of %d bytes with correlation id %x to request %x", n, got, asked)
	}
	response := r.Buffer(int(n))
	copy(response, got)
	if _, err := io.ReadFull(pipe, response[correlationBytes:]); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if j.after != nil {
		if err := j.after(response); err != nil {
			return err
		}
	}
	r.ErrorCode = kafka.ErrorCode(r.Payload, response)
	if j.answer != nil {
		j.answer(response)
		return nil
	}
	r.Respond(response)
	return nil
}

// connect returns the connection to kfake, made for the first request. It
// waits until our address is known, because kfake's answers contain it.
func (s *session) connect() (net.Conn, error) {
	s.mu.Lock()
	pipe, over := s.pipe, s.over
	s.mu.Unlock()
	if over {
		return nil, errEnded
	}
	if pipe != nil {
		return pipe, nil
	}
	select {
	case <-s.cluster.advertised:
	case <-s.ended:
		return nil, errEnded
	}
	pipe, err := s.cluster.listener.dial(s.client.Remote)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = pipe.Close() // net.Pipe: cannot fail
		return nil, errEnded
	}
	s.pipe = pipe
	return pipe, nil
}
