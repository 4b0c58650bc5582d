package conn

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"kring/engine"
	"kring/internal/conn/conntest"
	"kring/reqchan"
)

// pipe is the wire of a test without a network: what one side wrote the other reads.
type pipe struct {
	net.Conn
	out, in bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }

// maskedLoop opens a connection that is not plain, and its client; the hello was answered.
func maskedLoop(t testing.TB, s Settings, handle func(reqchan.Request)) (*testLoop, *conntest.Client, *pipe) {
	moved := make(chan struct{})
	s.Transport = func(_ *reqchan.Conn, _ func()) Transport { return conntest.NewServer(func() { close(moved) }) }
	l := newTestLoop(t, s, handle)
	wire := &pipe{}
	client, _ := conntest.NewClient(wire)
	l.receive(wire.out.Next(2), true)
	l.receive(wire.out.Next(100), true)
	<-moved
	l.conn.transportMoved()
	l.carry(wire, nil)
	return l, client, wire
}

// carry has all that is to be sent arrive, in pieces if r says so.
func (l *testLoop) carry(wire *pipe, r *rand.Rand) {
	for l.flush(); l.conn.out.sending; l.flush() {
		n := len(l.sending)
		if r != nil {
			n = 1 + r.IntN(n)
		}
		wire.in.Write(l.sending[:n])
		l.sent(n)
	}
}

func TestATransportCarriesFramesOfAllSizesInAnyPieces(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0x7a5))
		l, client, wire := maskedLoop(t, Settings{PipelineMax: 1 + r.IntN(4)}, nil)
		var sent []byte
		for range 1 + r.IntN(8) {
			f := testFrame(strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(1<<r.IntN(19))))
			sent = append(sent, f...)
			_, _ = client.Write(f)
		}
		_ = client.End()
		for wire.out.Len() > 0 || len(l.request) > 0 {
			if n := min(wire.out.Len(), 1+r.IntN(40_000)); n > 0 && l.conn.in.receive == receiveStream {
				l.receive(wire.out.Next(n), true)
				if l.conn.in.cancelled {
					l.receiveEnds(engine.Failed(125))
				}
			}
			if len(l.request) > 0 {
				l.answer(echo)
			}
			l.carry(wire, r)
		}
		if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("seed %d: %d bytes came back of %d: %v", seed, len(got), len(sent), err)
		}
		if l.conn.life < ending || l.conn.reason != reqchan.PeerFinished {
			t.Errorf("seed %d: the connection is %v, for %v", seed, l.conn.life, l.conn.reason)
		}
		l.end()
	}
}

func TestABigFrameIsOpenedIntoItsOwnMemory(t *testing.T) {
	l, client, wire := maskedLoop(t, Settings{}, nil)
	defer l.end()
	f := testFrame(strings.Repeat("x", 200_000))
	_, _ = client.Write(f)
	l.receive(wire.out.Next(20_000), true)
	rest := l.conn.in.frames.Rest()
	if rest == nil {
		t.Fatal("the frame has no memory of its own")
	}
	l.receive(wire.out.Next(wire.out.Len()), true)
	if r := l.request[0]; !bytes.Equal(r.Frame, f) || &r.Frame[len(f)-len(rest)] != &rest[0] {
		t.Error("it does not lie there")
	}
}

func TestAnEndWithinTheTransportIsATruncation(t *testing.T) {
	l, client, wire := maskedLoop(t, Settings{}, nil)
	_, _ = client.Write(testFrame("hello"))
	l.receive(wire.out.Next(7), true)
	l.conn.Received(eof())
	if l.conn.Closed(); l.why != reqchan.PeerReset {
		t.Errorf("closed for %v", l.why)
	}
	l.end()
}

func TestAnOrderlyCloseSendsTheTransportsLastBytes(t *testing.T) {
	l, client, wire := maskedLoop(t, Settings{}, nil)
	_, _ = client.Write(testFrame("hello"))
	l.receive(wire.out.Next(100), true)
	l.wanted = nil
	l.answer(func(r reqchan.Request) { r.CloseConnection(reqchan.HandlerClosed) })
	l.carry(wire, nil)
	l.wants("closed by its handler", "send 3", "shutdown")
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %v", err)
	}
	l.receiveEnds(0)
	if l.conn.Closed(); l.why != reqchan.HandlerClosed {
		t.Errorf("closed for %v", l.why)
	}
	l.end()
}

// ponder is a transport that waits whenever it is told to.
type ponder struct {
	Transport
	waits bool
}

func (p *ponder) Waits() bool { return p.waits }

// TestATransportThatWaitsAfterAMigrationIsHeardByItsNewProcessor: what it was given to say
// so when the connection was opened named the processor of then.
func TestATransportThatWaitsAfterAMigrationIsHeardByItsNewProcessor(t *testing.T) {
	var p *ponder
	var moved func()
	old := newTestLoop(t, Settings{Transport: func(_ *reqchan.Conn, f func()) Transport {
		p, moved = &ponder{Transport: conntest.NewServer(func() {})}, f
		return p
	}}, nil)
	old.conn.Migrate()
	old.receiveEnds(engine.Failed(125))
	if !old.moves || !old.conn.CanMigrate() {
		t.Fatal("the connection can't migrate")
	}
	m := old.conn.Detach()
	target := newTestLoop(t, Settings{}, nil)
	target.end()
	target.over = false
	target.conn.Attach(target.shared, testToken, m)
	target.conn.ApplySettings()
	p.waits = true
	moved()
	if len(old.tasks) != 0 || len(target.tasks) != 1 {
		t.Errorf("%d tasks for the old processor, %d for the new one", len(old.tasks), len(target.tasks))
	}
	p.waits = false
	target.end()
	old.over = true
	old.end()
}

// TestARequestThatIsKeptLiesInMemoryOfItsOwn: a handler that runs on the processor has its
// request where the transport has opened it, and may answer much later; more of them than may
// lie there, and memory that has come back is used again.
func TestARequestThatIsKeptLiesInMemoryOfItsOwn(t *testing.T) {
	const requests = 5 * pinnedMax
	var kept []reqchan.Request
	var seen []string
	n := 0
	l, client, wire := maskedLoop(t, Settings{PipelineMax: requests}, func(r reqchan.Request) {
		if n++; n%4 == 0 {
			r.Respond(r.Payload())
			return
		}
		kept = append(kept, r)
		seen = append(seen, string(r.Payload()))
	})
	r := rand.New(rand.NewPCG(3, 0x17))
	var sent []byte
	for round := range 3 {
		for i := range requests / 2 {
			f := testFrame(strings.Repeat(string(rune('a'+(round+i)%26)), 1+r.IntN(3000)))
			sent = append(sent, f...)
			_, _ = client.Write(f)
			if i%5 == 0 {
				l.receive(wire.out.Next(wire.out.Len()), true)
			}
		}
		l.receive(wire.out.Next(wire.out.Len()), true)
		for i, q := range kept {
			if string(q.Payload()) != seen[i] {
				t.Fatalf("round %d: request %d has changed while it was kept", round, i)
			}
			q.Respond(q.Payload())
		}
		kept, seen = nil, nil
		var home []*reqchan.Job
		for q := l.home.Take(); q != nil; q = q.Next() {
			home = append(home, q)
		}
		for _, q := range home {
			l.conn.Returned(q)
		}
		l.conn.AllReturned()
		l.carry(wire, r)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("other bytes came back than were sent: %v", err)
	}
	if spare := len(l.shared.scratch.spare); spare == 0 || spare > pinnedMax {
		t.Errorf("%d pieces of memory wait to be used again, and there are 1 to %d", spare, pinnedMax)
	}
	l.end()
}

// TestHandlersThatRunHereHaveRequestsWhereTheyWereOpened: nothing that came is copied, and the
// answers to what came together are one piece of output.
func TestHandlersThatRunHereHaveRequestsWhereTheyWereOpened(t *testing.T) {
	l, client, wire := maskedLoop(t, Settings{PipelineMax: 16}, echo)
	for range 16 {
		_, _ = client.Write(testFrame(strings.Repeat("x", 128)))
	}
	l.receive(wire.out.Next(wire.out.Len()), true)
	if c := l.shared.count; c.BytesInCopied != 0 {
		t.Errorf("%d bytes of requests were copied", c.BytesInCopied)
	}
	if l.conn.out.unsent == nil || len(l.conn.out.unsent.segments) != 1 {
		t.Errorf("the answers are not one piece: %+v", l.conn.out.unsent)
	}
	l.carry(wire, nil)
	l.end()
}

// TestWhatIsSealedIsNotedInMemoryThatIsUsedAgain, by another connection, too,
// and an idle connection has none.
func TestWhatIsSealedIsNotedInMemoryThatIsUsedAgain(t *testing.T) {
	l, client, wire := maskedLoop(t, Settings{PipelineMax: 16}, echo)
	exchange := func(seal func()) {
		seal()
		l.receive(wire.out.Next(wire.out.Len()), true)
		l.carry(wire, nil)
		wire.in.Reset()
	}
	send := func() { _, _ = client.Write(testFrame("x")) }
	exchange(send)
	notes := func() *sealed { return &l.shared.outs[len(l.shared.outs)-1].sealed[:1][0] }
	first := notes()
	for range 10 {
		exchange(send)
		if notes() != first {
			t.Fatal("what is sealed was noted in other memory")
		}
		if l.conn.secure.pieces != nil {
			t.Fatal("an idle connection has notes of what is sealed")
		}
	}
	l.end()
}
