package embedded

import (
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
	"kring/reqchan"
)

// waits are the APIs that kfake answers when something happens. polls among them
// end, unanswered, with their client's interest.
var (
	waits = map[kmsg.Key]bool{kmsg.Fetch: true, kmsg.ShareFetch: true, kmsg.JoinGroup: true, kmsg.SyncGroup: true}
	polls = map[kmsg.Key]bool{kmsg.Fetch: true, kmsg.ShareFetch: true}
)

// linesStay is how long requests still stand in lines once the cluster is drained: for room, a
// turn or a goroutine. A server that does well is through with them in a few milliseconds.
const linesStay = time.Second

// Drain answers at once what waits for something to happen, and what begins to
// wait from now on. A second later nothing more is begun that stands in a line: its connection
// is closed, and its client asks elsewhere, or later. (Apache Kafka closes all that has not been
// answered at once.) Call it before the server is shut down, which waits for all
// that is in flight. It does not block, and may be called more than once.
func (c *Cluster) Drain() {
	c.draining.Store(true)
	c.drain()
	c.closeLinesOnce.Do(func() { time.AfterFunc(c.linesStay, c.closeLines) })
}

// refuseEnding closes the connection of a request that will not be begun, or was not answered.
func (s *session) refuseEnding(q kafka.APIRequest) {
	why := reqchan.BackendFailed
	if s.cluster.draining.Load() {
		why = reqchan.ServerDraining
	}
	s.end()
	q.Raw.CloseConnection(why)
}

// exchangeOrGiveUp is exchange, but what waits ends at once when the cluster is
// drained, and a poll when its client has gone, or when there would be no room for the
// answers to all that wait (see crowds). What the client sent behind it is still served,
// on a new pipe.
func (s *session) exchangeOrGiveUp(j job) error {
	if !j.waits {
		return s.exchange(j)
	}
	pipe, err := s.connect()
	if err != nil {
		return err
	}
	defer s.leavePlace()
	stay := s.hangUp(pipe, j.poll)
	err = s.exchange(j)
	gone, drained := stay()
	dispersed := s.leaveCrowd()
	switch {
	case !gone && !drained && !dispersed, !s.disconnect(pipe):
		return err
	case err == nil:
		return nil // it was answered just before
	case dispersed && !gone && !drained:
		return s.fetchInRoom(j)
	case gone:
		j.q.Raw.NoResponse()
		return nil
	}
	return s.answerDrained(j)
}

// hangUp closes pipe when the cluster is drained, or the client of a poll has gone. stay
// ends that and says which of them came.
func (s *session) hangUp(pipe net.Conn, poll bool) (stay func() (gone, drained bool)) {
	end := func() { _ = pipe.Close() } // net.Pipe: cannot fail
	unwatch := func() bool { return true }
	if poll {
		unwatch = context.AfterFunc(s.client.Context(), end)
	}
	undrain := context.AfterFunc(s.cluster.drained, end)
	return func() (gone, drained bool) { return !unwatch(), !undrain() }
}

// fetchInRoom answers a poll that was given up because there was no room for what it
// would have brought: without waiting, once there is. A member of a share group has lost
// its session with the connection, and begins anew.
func (s *session) fetchInRoom(j job) error {
	req, err := j.q.Decode()
	if err != nil {
		return err
	}
	if share, ok := req.(*kmsg.ShareFetchRequest); ok {
		j.q.Respond(refusalOf(share, kerr.ShareSessionNotFound.Code, "there was no room for what the members that wait would have brought"))
		return nil
	}
	fetch := req.(*kmsg.FetchRequest)
	if fetch.SessionEpoch > 0 {
		return s.fetchNow(j, fetch)
	}
	s.room.leave()
	fetchBounds(j.q).setWait(0)
	if s.room = s.makeRoom(j); s.room != nil && s.room.denied {
		return errEnded
	}
	return s.exchange(j)
}

// answerDrained answers a request that waited as if nothing had happened for as
// long as it may wait, or so that it comes again, elsewhere or later.
func (s *session) answerDrained(j job) error {
	req, err := j.q.Decode()
	if err != nil {
		return err
	}
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		return s.fetchNow(j, req)
	case *kmsg.ShareFetchRequest:
		j.q.Respond(req.ResponseKind())
	default:
		// As Apache Kafka's coordinator does when it is not active any more.
		j.q.Respond(refusalOf(req, kerr.CoordinatorNotAvailable.Code, "the server is shutting down"))
	}
	return nil
}

// fetchNow answers a fetch without waiting. One that goes on with a fetch session
// (KIP-227) is told that nothing has changed in it: the session's epoch has been
// moved on by the fetch that was given up.
func (s *session) fetchNow(j job, req *kmsg.FetchRequest) error {
	if req.SessionEpoch > 0 {
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.SessionID = req.SessionID
		j.q.Respond(resp)
		return nil
	}
	req.MaxWaitMillis, req.MinBytes, req.SessionID, req.SessionEpoch = 0, 0, 0, noSession
	resp, err := s.ask(req)
	if err != nil {
		return err
	}
	j.q.Respond(resp)
	return nil
}
