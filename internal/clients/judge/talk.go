package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/clients/raw"
)

// talk is a conversation on one connection, and what is said of it.
type talk struct {
	server      *server
	conn        net.Conn
	correlation int32
	said        []string
}

// talkOver ends a talk whose connection has ended.
type talkOver struct{}

// hold holds a conversation and gives what was said.
func (s *server) hold(conn net.Conn, with func(*talk)) string {
	t := &talk{server: s, conn: conn}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (talkOver{}) {
				panic(v)
			}
		}()
		with(t)
	}()
	return strings.Join(t.said, ", ")
}

// say notes what is to be compared.
func (t *talk) say(format string, args ...any) { t.said = append(t.said, fmt.Sprintf(format, args...)) }

// over says how the connection ended, and ends the talk.
func (t *talk) over(how string) {
	t.say("%s", how)
	panic(talkOver{})
}

// passing are the errors that a client asks again for.
var passing = []int16{
	kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code, kerr.ConcurrentTransactions.Code,
	kerr.RebalanceInProgress.Code, kerr.LeaderNotAvailable.Code, kerr.NotLeaderForPartition.Code,
}

// againAfter is how long to wait before asking again.
const againAfter = 10 * time.Millisecond

// ask asks req in version, again while the answer is to do that.
func (t *talk) ask(req kmsg.Request, version int16) kmsg.Response {
	var resp kmsg.Response
	t.until(func() bool {
		resp = t.once(req, version)
		return !slices.ContainsFunc(codesOf(resp), func(c int16) bool { return slices.Contains(passing, c) })
	})
	return resp
}

// until asks again until done says so; the connection's deadline ends it if that
// never comes: asking ends the talk then.
func (t *talk) until(done func() bool) {
	for !done() {
		time.Sleep(againAfter)
	}
}

func (t *talk) once(req kmsg.Request, version int16) kmsg.Response {
	req.SetVersion(version)
	t.correlation++
	a := asking(req, t.correlation)
	_, _ = t.conn.Write(a.frame) // a failure is a close, which reading sees
	payload, err := readFrame(t.conn)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.over("silent")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		t.over("closed")
	case err != nil:
		t.over(err.Error())
	}
	resp := req.ResponseKind()
	body := payload[4:]
	if resp.IsFlexible() && req.Key() != raw.KeyApiVersions && len(body) > 0 {
		body = body[1:]
	}
	if resp.ReadFrom(body) != nil {
		t.over("an answer that is malformed")
	}
	return resp
}

// tell asks req in version and says the errors.
func (t *talk) tell(req kmsg.Request, version int16) kmsg.Response {
	resp := t.ask(req, version)
	t.say("%s", errorsOf(resp))
	return resp
}

// must asks req in version on the way to a question; an error ends the talk.
func (t *talk) must(req kmsg.Request, version int16) kmsg.Response {
	resp := t.ask(req, version)
	if errs := errorsOf(resp); errs != "ok" {
		t.over(fmt.Sprintf("not asked: %s says %s", apiName(req.Key()), errs))
	}
	return resp
}

// talks makes a question of each version from first to last.
func talks(family string, first, last int16, with func(t *talk, version int16)) (all []question) {
	for v := first; v <= last; v++ {
		all = append(all, question{family: family, variant: versionName(v), talk: func(t *talk) { with(t, v) }})
	}
	return all
}

// aTalk makes a question without variants.
func aTalk(family string, with func(t *talk)) question { return question{family: family, talk: with} }
