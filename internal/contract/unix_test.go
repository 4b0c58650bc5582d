//go:build unix

package contract

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// socketPath is short enough for a socket, which a test's own directory may not
// be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

// TestAUnixDomainSocketIsServedAsAnyOther: small requests and large ones, files,
// pipelines, the end of either side; and its file goes with its listener.
//
// Kafka: U-6.
func TestAUnixDomainSocketIsServedAsAnyOther(t *testing.T) {
	f, content := file(t, 700_000)
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		path := socketPath(t)
		cfg.Listeners = []kring.ListenerConfig{{Address: "unix:" + path}, {Address: "127.0.0.1:0"}}
		cfg.Limits.PipelineMax = 4
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "file" {
				respondParts(t, r, nil, kring.Part{Bytes: []byte("head")}, kring.Part{File: f, Length: int64(len(content))})
				return
			}
			r.Respond(r.Payload())
		}))
		if at := s.Listeners(); at[0].Address != "unix:"+path || s.Addrs()[0].IsValid() || at[1].Address != s.Addrs()[1].String() {
			t.Errorf("addresses %q, %v", at, s.Addrs())
		}
		c := servertest.Dial(t, s)
		c.Ask("hello", "hello")
		big := strings.Repeat("0123456789abcdef", 1<<16) // received straight into its own memory
		for _, payload := range []string{strings.Repeat("x", 20_000), big, "small"} {
			c.Ask(payload, payload)
		}
		for round := range 10 {
			one, two := fmt.Sprint("one ", round), fmt.Sprint("two ", round)
			c.Send(one, "file", two, "three")
			for _, want := range []string{one, "head" + string(content), two, "three"} {
				if got := c.Receive(); got != want {
					t.Fatalf("round %d: %d bytes that are not the %d expected", round, len(got), len(want))
				}
			}
		}
		servertest.DialTo(t, s.Listeners()[1].Address).Ask("tcp", "tcp")

		conns, err := s.Conns(t.Context())
		if err != nil || len(conns) != 2 || conns[0].Remote.IsValid() == conns[1].Remote.IsValid() {
			t.Errorf("listing: %+v, %v", conns, err)
		}
		if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.AwaitClose()
		servertest.Eventually(t, "its end is counted", func() bool { return closedBy(s, reqchan.PeerFinished) == 1 })
		for range 20 { // ends with answers on their way, and without
			c := servertest.Dial(t, s)
			c.Send("a", "file", big)
			_ = c.Close()
			servertest.Dial(t, s).Ask("b", "b")
		}
		servertest.Shutdown(t, s)
		if !gone(path) {
			t.Error("the file is still there")
		}
	})
}

// Clients that have no address are counted for no address; every other bound
// holds for them.
func TestBoundsPerAddressAreNotForUnixDomainSockets(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax, cfg.Conns.RatePerIPMax, cfg.Conns.WhenFull = 1, 0.1, kring.WhenFullRefuse
		cfg.Conns.PerIP = []kring.AddressLimit{{Source: "0.0.0.0/0", ConnsMax: kring.NoConns}, {Source: "::/0", ConnsMax: kring.NoConns}}
		cfg.Listeners = []kring.ListenerConfig{{Address: "unix:" + socketPath(t), ConnsMax: 3}}
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 3 {
			servertest.Dial(t, s).Ask("in", "in")
		}
		servertest.Dial(t, s).AwaitClose()
		st := s.Stats()
		if by := st.RefusedBy(); by["full"] != 1 || len(by) != 1 {
			t.Errorf("refused: %v", by)
		}
	})
}

// A path is taken from nobody who listens there, and from whoever died.
func TestAUnixDomainSocketIsTakenFromTheDeadOnly(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		path := socketPath(t)
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		_ = dead.Close()
		cfg.Listeners = []kring.ListenerConfig{{Address: "unix://" + path, SocketMode: 0o600}}
		s := servertest.Start(t, cfg, servertest.Echo)
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("the file: %v, %v", info.Mode(), err)
		}
		second, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Start(); err == nil || !strings.Contains(err.Error(), "another process listens there") || !strings.Contains(err.Error(), path) {
			t.Errorf("a path in use: %v", err)
		}
		servertest.Dial(t, s).Ask("still", "still")

		ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
		defer cancel()
		if err := s.AddListener(kring.ListenerConfig{Name: "OTHER", Address: "127.0.0.1:0"}); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveListener(ctx, "PLAINTEXT"); err != nil || !gone(path) {
			t.Errorf("removed: %v, the file is gone %v", err, gone(path))
		}
		if err := s.AddListener(kring.ListenerConfig{Name: "AGAIN", Address: "unix:" + path}); err != nil {
			t.Fatal(err)
		}
		servertest.DialTo(t, "unix:"+path).Ask("again", "again")
	})
}

func TestAnAbstractSocketHasNoFile(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		name := "@kring-" + filepath.Base(filepath.Dir(socketPath(t)))
		cfg.Listeners = []kring.ListenerConfig{{Address: "unix:" + name}}
		s := servertest.Start(t, cfg, servertest.Echo)
		servertest.Dial(t, s).Ask("abstract", "abstract")
		if !gone(name) {
			t.Error("there is a file")
		}
	})
}

func TestWrongUnixDomainSocketsAreRefusedWithTheRemedy(t *testing.T) {
	for says, c := range map[string]kring.Config{
		"give the socket a path":         {Listeners: []kring.ListenerConfig{{Address: "unix://"}}},
		"choose Processors.Accept apart": {Processors: kring.ProcessorsConfig{Accept: kring.AcceptPerProcessor}, Listeners: []kring.ListenerConfig{{Address: "unix:/run/k"}}},
		"for a unix:PATH only":           {Listeners: []kring.ListenerConfig{{Address: "127.0.0.1:0", SocketMode: 0o600}}},
		"choose permissions such":        {Listeners: []kring.ListenerConfig{{Address: "unix:/run/k", SocketMode: fs.ModeSetuid}}},
		"Listeners[PLAINTEXT].Add":       {Listeners: []kring.ListenerConfig{{Address: "unix:@"}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in: %v", says, err)
		}
	}
}
