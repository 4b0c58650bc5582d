package kafka

import (
	"net/netip"
	"testing"

	"kring/acl"
	"kring/internal/proxyproto"
	"kring/reqchan"
)

// A client that a forwarder has by a Unix domain socket is one of the forwarder's machine, and
// not of this one.
func TestAForwardedUnixClientIsNoneOfThisMachine(t *testing.T) {
	header := &proxyproto.Header{Version: 2, SourcePath: "/run/app", DestinationPath: "/run/lb"}
	local, remote := &reqchan.Conn{}, &reqchan.Conn{Remote: netip.MustParseAddrPort("10.0.0.1:5000")}
	local.Forward(header)
	remote.Forward(header)
	d := NewFilter(everything(t), &recorder{})
	d.Authorizer = rulesOf(t, "allow User:ANONYMOUS read topic:* from unix", "allow User:ANONYMOUS write topic:* from 10.0.0.0/8", "deny User:* write topic:secret from 10.0.0.1")
	for _, c := range []struct {
		conn        *reqchan.Conn
		operation   acl.Operation
		topic, says string
		want        bool
	}{
		{remote, acl.Read, "t", "of another machine, by a rule for Unix domain sockets", false},
		{remote, acl.Write, "t", "of another machine, by a rule for its forwarder's address", true},
		{remote, acl.Write, "secret", "of another machine, by a rule that denies its forwarder's address", false},
		{local, acl.Read, "t", "of this machine", true},
		{local, acl.Write, "t", "of this machine, by a rule for an address", false},
		{&reqchan.Conn{}, acl.Read, "t", "by no forwarder", true},
	} {
		job := reqchan.NewJob(c.conn, nil)
		s := newScreening(d, APIRequest{Raw: job.Request()}, nil)
		if got := s.seen.Allowed(s.client, acl.Action{API: acl.APINone, Operation: c.operation, Resource: acl.Topic, Name: c.topic}); got != c.want {
			t.Errorf("a client %s: %v", c.says, got)
		}
		job.Free()
	}
}
