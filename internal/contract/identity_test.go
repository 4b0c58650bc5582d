package contract

import (
	"net"
	"sync"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// A connection is named by both ends, its processor and an index that grows; it
// is never given twice, whatever ports clients use again, and a response finds
// its own connection only.
//
// Kafka: SS-01, SS-11, SS-13, SE-12.
func TestConnectionsAreNeverConfused(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		var mu sync.Mutex
		var names []kring.ConnName // guarded by mu
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			mu.Lock()
			names = append(names, r.Conn().Name())
			mu.Unlock()
			if string(r.Payload()) == "late" {
				held <- r
				return
			}
			r.Respond(r.Payload())
		}))
		from := &net.TCPAddr{IP: net.IPv4(127, 84, 0, 1)} // whose ports nobody else takes
		first, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := first.Write(servertest.Frame([]byte("late"))); err != nil {
			t.Fatal(err)
		}
		late := <-held
		from = first.LocalAddr().(*net.TCPAddr)
		_ = first.(*net.TCPConn).SetLinger(0)
		_ = first.Close()
		servertest.Eventually(t, "the first connection is gone", func() bool { return s.Stats().Open == 0 })
		again, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", s.Addrs()[0].String())
		late.Respond([]byte("of somebody else")) // KAFKA-5595
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = again.Close() }()
		if _, err := again.Write(servertest.Frame([]byte("mine"))); err != nil {
			t.Fatal(err)
		}
		if got, err := servertest.ReadFrame(again); err != nil || string(got) != "mine" {
			t.Errorf("answer %q, %v", got, err)
		}
		mu.Lock()
		defer mu.Unlock()
		a, b := names[0], names[1]
		if a.Remote != b.Remote || a.Local != s.Addrs()[0] || a.ID.Processor != b.ID.Processor || b.ID.Index != a.ID.Index+1 {
			t.Errorf("%s, and after it %s", a, b)
		}
		if n, err := reqchan.ParseConnName(b.String()); err != nil || n != b {
			t.Errorf("%s is parsed as %s, %v", b, n, err)
		}
	})
}
