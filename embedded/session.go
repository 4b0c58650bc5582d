package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

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
	again   bool     // guarded by mu; the pipe was closed because kfake is run anew
	stays   bool     // guarded by mu; the pipe outlasts end; see stay

	head    [reqchan.SizeBytes + correlationBytes]byte // owned by run
	writing *writing                                   // owned by run; of the request that is served, nil unless it writes to disk
	asked   bool                                       // owned by run; kfake was asked something since writing was found kept

	// Owner: run, all that follows; see makeRoom.
	room     *room // of the request that is answered; nil: it takes little
	large    bool  // an answer was large since the pipe was made
	shares   bool  // it is in a share group
	changing bool  // the request that is served is one of changes
	behind   bool  // its last Fetch was answered with as much as it was allowed, or nearly
	got      int   // bytes of the last response that was decoded
	allowed  int64 // how many bytes that was
	fetched  int64 // how many they were
	unwaited int32 // milliseconds that the Fetch that is served would wait, were it not heavy

	// Owner: run, all that follows; see waits.go.
	standing standing
	fetching fetchSession
	sharing  shareSession
	stood    bool // it stood in a line before this run
	class    int  // of the requests that run serves
	runs     bool // it counts among the runs of its class
}

// job is a request on its way to kfake.
type job struct {
	q kafka.APIRequest

	waits bool // it may wait long, and is answered when the cluster is drained
	poll  bool // and is given up when the client goes
}

const (
	correlationAt    = 4 // in a payload: API key, API version, correlation id
	correlationBytes = 4
)

// pipesKept is how many connections to kfake idle sessions keep: each is three
// goroutines of kfake's. Beyond that a session connects for each of its requests, which
// kfake does not see a difference in: it keeps nothing by connection that clients use.
const pipesKept = 500

// countedPipe is a connection to kfake, as long as it is open.
type countedPipe struct {
	net.Conn
	open  *atomic.Int64
	close sync.Once
}

func (p *countedPipe) Close() error {
	p.close.Do(func() { p.open.Add(-1) })
	return p.Conn.Close()
}

var errEnded = errors.New("the connection ended")

func newSession(c *Cluster, client *reqchan.Conn) *session {
	return &session{cluster: c, client: client, ended: make(chan struct{}), fetched: pollBytesMax}
}

// add hands a job to the session. It does not block.
func (s *session) add(j job) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		j.q.Raw.CloseConnection(reqchan.BackendFailed)
		return
	}
	s.jobs = append(s.jobs, j)
	start := !s.running
	if start {
		s.running = true
		s.cluster.sessions.running.Add(1) // under mu: never after Close began to wait
		s.cluster.sessions.alive.Add(1)
	}
	s.mu.Unlock()
	if start {
		s.cluster.runs.start(s, classOf(j))
	}
}

// end closes the session: what waits in kfake is given up there, what is
// outstanding is answered by closing its connection. It does not block.
func (s *session) end() {
	s.mu.Lock()
	over, pipe := s.over, s.pipe
	s.over = true
	if s.stays {
		pipe = nil
	}
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

// stay has the response of kfake read though the client goes meanwhile, until the function that it
// returns is called: what the request did in kfake must be known. Not for one that may wait there.
func (s *session) stay() (over func()) {
	set := func(stays bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stays = stays; !stays && s.over && s.pipe != nil {
			_ = s.pipe.Close() // net.Pipe: cannot fail
		}
	}
	set(true)
	return func() { set(false) }
}

// run serves jobs of a class until there are no more, or the next needs another turn.
func (s *session) run(class int) {
	s.class, s.runs = class, true
	for {
		j, ok := s.next()
		if !ok {
			return
		}
		if s.stood && s.cluster.linesClosed.Err() != nil {
			s.refuseEnding(j.q)
			continue
		}
		if j.q, ok = s.cluster.filter.Authorize(j.q); !ok {
			continue
		}
		s.room = s.makeRoom(j)
		err := errEnded
		if s.room == nil || !s.room.denied {
			if err = s.exchangeOrGiveUp(j); err != nil && s.interrupted() {
				err = s.exchangeAgain(j)
			}
		}
		s.room.leave()
		s.room = nil
		s.shed()
		if err != nil {
			s.cluster.log.Debug("embedded: connection to the cluster failed",
				"conn", s.client.ID.String(), "error", err)
			s.refuseEnding(j.q)
		}
	}
}

// exchangeAgain serves a request that kfake did not answer because it is run
// anew. Nobody knows whether one that writes was written: the client is to ask
// again.
func (s *session) exchangeAgain(j job) error {
	if _, writes := changes[kmsg.Key(j.q.Header.Key)]; writes {
		return s.refuse(j.q, errWriteFailed)
	}
	return s.exchangeOrGiveUp(j)
}

// leaveRun lets another session of the class run.
func (s *session) leaveRun() {
	if s.runs {
		s.runs = false
		s.cluster.runs.end(s.class)
	}
}

// next takes the oldest job; without one run is over, for now when it has to stand in line
// again.
func (s *session) next() (j job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = false
	if len(s.jobs) == 0 {
		if s.pipe != nil && s.cluster.sessions.pipes.Load() > pipesKept {
			_ = s.pipe.Close() // net.Pipe: cannot fail
			s.pipe = nil
		}
		s.leaveRun()
		s.running, s.jobs = false, nil
		s.cluster.sessions.alive.Add(-1)
		s.cluster.sessions.running.Done()
		return job{}, false
	}
	if class := classOf(s.jobs[0]); !s.runs || class != s.class {
		s.leaveRun()
		s.cluster.runs.start(s, class) // another goroutine: s is its from here
		return job{}, false
	}
	j = s.jobs[0]
	s.jobs[0] = job{}
	s.jobs = s.jobs[1:]
	return j, true
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

// interrupt closes the connection to kfake, which has ended. What waits in it is
// given up; the next request connects anew.
func (s *session) interrupt() {
	s.mu.Lock()
	pipe := s.pipe
	s.pipe, s.again = nil, s.running
	s.mu.Unlock()
	if pipe != nil {
		_ = pipe.Close() // net.Pipe: cannot fail
	}
}

// interrupted says once that the request that failed is to be tried again.
func (s *session) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := s.again && !s.over
	s.again = false
	return again
}

// exchange has kfake serve a request, with the repairs of its API around it, and
// refuses it unless what it changes can be kept, and was. On
// an error the request is not answered, and nobody but the caller refers to its
// memory any more.
func (s *session) exchange(j job) error {
	w, err := s.begin(j.q)
	if err != nil {
		return s.refuse(j.q, err)
	}
	if s.writing = w; w != nil {
		defer w.end()
	}
	if repairs := repairsOf[kmsg.Key(j.q.Header.Key)]; len(repairs) > 0 {
		return s.repaired(j, repairs)
	}
	return s.forward(j.q, j.q.Frame())
}

// send writes a frame's payload to kfake, and returns where its response will be.
func (s *session) send(payload []byte) (net.Conn, error) {
	pipe, err := s.connect()
	if err != nil {
		return nil, err
	}
	s.asked = true
	size := s.head[:reqchan.SizeBytes]
	binary.BigEndian.PutUint32(size, uint32(len(payload)))
	if _, err := pipe.Write(size); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if _, err := pipe.Write(payload); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return pipe, nil
}

// receive reads the start of the response to payload, up to the correlation id,
// and returns how long the response is with that. The request waits no longer then: its
// place is free before its client can ask again.
func (s *session) receive(pipe net.Conn, payload []byte) (n int, err error) {
	if _, err := io.ReadFull(pipe, s.head[:]); err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	size := binary.BigEndian.Uint32(s.head[:])
	got := s.head[reqchan.SizeBytes:]
	asked := payload[correlationAt : correlationAt+correlationBytes]
	if size < correlationBytes || string(got) != string(asked) {
		return 0, fmt.Errorf("response of %d bytes with correlation id %x to request %x", size, got, asked)
	}
	s.leavePlace()
	return int(size), nil
}

// forward shows kfake payload, reads its response into the request's buffer and
// answers with it.
func (s *session) forward(q kafka.APIRequest, payload []byte) error {
	pipe, err := s.send(payload)
	if err != nil {
		return err
	}
	n, err := s.receive(pipe, payload)
	if err != nil {
		return err
	}
	s.sized(q, n, 2)
	r := q.Raw
	response := r.Buffer(n)
	copy(response, s.head[reqchan.SizeBytes:])
	if _, err := io.ReadFull(pipe, response[correlationBytes:]); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if refused, err := s.unkept(q); refused {
		return err
	}
	s.fetching.answered(q, response)
	r.SetErrorCode(kafka.ErrorCode(r.Payload(), response))
	r.Respond(response)
	return nil
}

// roundTrip shows kfake payload, which is req encoded, and decodes its response.
func (s *session) roundTrip(payload []byte, req kmsg.Request) (kmsg.Response, error) {
	pipe, err := s.send(payload)
	if err != nil {
		return nil, err
	}
	n, err := s.receive(pipe, payload)
	if err != nil {
		return nil, err
	}
	header := len(kafka.AppendResponseHeader(nil, req.Key(), req.GetVersion(), 0))
	body := make([]byte, n-correlationBytes)
	if _, err := io.ReadFull(pipe, body); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if header -= correlationBytes; len(body) < header {
		return nil, fmt.Errorf("response of %d bytes to %s", n, kmsg.NameForKey(req.Key()))
	}
	s.got = n
	resp := req.ResponseKind()
	if err := resp.ReadFrom(body[header:]); err != nil {
		return nil, fmt.Errorf("response to %s: %w", kmsg.NameForKey(req.Key()), err)
	}
	return resp, nil
}

// ask puts a request of our own to kfake.
func (s *session) ask(req kmsg.Request) (kmsg.Response, error) {
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 0)
	return s.roundTrip(frame[reqchan.SizeBytes:], req)
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
	pipe, err := s.cluster.connectTo(s.client.Remote)
	if err != nil {
		return nil, err
	}
	s.cluster.sessions.pipes.Add(1)
	pipe = &countedPipe{Conn: pipe, open: &s.cluster.sessions.pipes}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = pipe.Close() // net.Pipe: cannot fail
		return nil, errEnded
	}
	s.pipe = pipe
	return pipe, nil
}
