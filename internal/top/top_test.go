package top

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"kring/views"
)

var update = flag.Bool("update", false, "write the screens of testdata anew")

func init() { time.Local = time.UTC } // times of day are the reader's

// started is when the server of the tests was.
var started = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// status is that server's, so many seconds later.
func status(seconds int) views.Status {
	n := uint64(seconds)
	return views.Status{
		At: started.Add(time.Duration(seconds) * time.Second), Version: "v1.2.3", UptimeMillis: int64(seconds+11520) * 1000, Engine: "io_uring",
		Open: 1234, Accepted: n * 3, Requests: n * 12345, Responses: n * 12345, BytesIn: n * 1_200_000, BytesOut: n * 34_000_000,
		Closed: map[string]uint64{"peer_finished": n}, Queued: 3, Processors: 2, IdleNanos: int64(n) * 900e6, AliveNanos: int64(n) * 2e9, Handlers: 8, HandlersBusy: 2,
		Limits: []views.Limit{{Name: "connections", Used: 1234, Max: 17476}, {Name: "request_memory", Unit: "bytes", Used: 90, Max: 100}},
		APIs: []views.API{
			{Key: 0, Name: "Produce", Requests: n * 100, Errors: n * 2, Latency: [][2]uint64{{128, n * 98}, {4096, n * 2}}},
			{Key: 1, Name: "Fetch", LongPoll: true, Requests: n * 5, Latency: [][2]uint64{{524288, n * 5}}},
		},
	}
}

// clients are as many connections as there may be on a page.
func clients(n int) (all []views.Connection) {
	names := []string{"billing-worker", "evil\x1b[2J\x1b[31mred\u202e", "a-client-with-a-very-long-name-that-fits-nowhere", "", "müller-日本語-クライアント-長い名前"}
	for i := range n {
		c := views.Connection{
			ID: fmt.Sprint("0-", i+1), ClientID: names[i%len(names)], Remote: fmt.Sprintf("10.1.2.3:%d", 40000+i), Principal: "User:ANONYMOUS", Listener: "PLAINTEXT",
			Software: "apache-kafka-java", SoftwareVersion: "4.1.0", RequestsPerSec: 5000 / float64(i+1), BytesInPerSec: 123456, BytesOutPerSec: 1.5e6,
			LatencyP50: 0.088, LatencyP99: 1.9, InFlight: i % 2, AgeMilliseconds: 3_725_000, IdleMilliseconds: int64(i * 700),
		}
		if i%2 == 1 {
			c.Muted = "in_flight"
		}
		if i%5 == 2 {
			c.Muted = "queued_responses"
		}
		all = append(all, c)
	}
	return all
}

// server is a Source that remembers what it was asked.
type server struct {
	at    int
	asked []Query
	err   error
}

func (s *server) ask(_ context.Context, q Query) (Snapshot, error) {
	s.asked = append(s.asked, q)
	if s.err != nil {
		return Snapshot{}, s.err
	}
	s.at += 2
	of := clients(57)
	return Snapshot{status(s.at), views.Connections{
		Open: 1234, Matched: len(of), Connections: of[min(q.Offset, len(of)):min(q.Offset+q.Limit, len(of))],
		Closed: []views.ClosedConnection{{At: started, ID: "0-9", ClientID: "gone\x07", Reason: "closed_by_admin", Requests: 12, Remote: "10.1.2.3:4", AgeMilliseconds: 65_000}},
	}}, nil
}

// driven is a Model and what drives it, without a terminal and without time.
type driven struct {
	t *testing.T
	Model
	server *server
	next   tea.Cmd // what Update asked for last
}

func drive(t *testing.T, width, height int) *driven {
	s := &server{}
	d := &driven{t: t, server: s, Model: New(s.ask, "127.0.0.1:9644", time.Hour)}
	d.clock = func() time.Time { return started.Local() }
	d.send(tea.WindowSizeMsg{Width: width, Height: height})
	d.answer()
	d.send(due{d.asked})
	d.answer()
	return d
}

func (d *driven) send(msg tea.Msg) {
	m, cmd := d.Update(msg)
	d.Model, d.next = m.(Model), cmd
}

// answer runs the question that was asked last, and gives its answer.
func (d *driven) answer() {
	d.t.Helper()
	if d.next == nil {
		d.next = d.ask()
	}
	d.send(d.next())
}

// press presses keys, and answers what they ask.
func (d *driven) press(keys ...string) {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Text: k}
		switch k {
		case "esc":
			msg = tea.KeyPressMsg{Code: tea.KeyEscape}
		case "enter":
			msg = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "backspace":
			msg = tea.KeyPressMsg{Code: tea.KeyBackspace}
		case "pgdown":
			msg = tea.KeyPressMsg{Code: tea.KeyPgDown}
		case "space":
			msg = tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
		default:
			msg.Code = []rune(k)[0]
		}
		before := d.asked
		if d.send(msg); d.asked != before {
			d.send(d.next())
		}
	}
}

// is compares the screen with that of testdata, and checks that it is of the terminal's size.
func (d *driven) is(name string) {
	d.t.Helper()
	screen := d.Screen()
	lines := strings.Split(screen, "\n")
	if len(lines) != d.height {
		d.t.Errorf("%s: %d lines of %d", name, len(lines), d.height)
	}
	for i, line := range lines {
		if w := ansi.StringWidth(line); w > d.width {
			d.t.Errorf("%s: line %d has %d cells of %d", name, i+1, w, d.width)
		}
	}
	compare(d.t, name, ansi.Strip(screen)+"\n")
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	for i, line := range strings.Split(got, "\n") {
		if strings.ContainsAny(line, "\x1b\x07\u202e") {
			t.Errorf("%s: line %d has control characters: %q", name, i+1, line)
		}
	}
	var trimmed []string
	for line := range strings.SplitSeq(got, "\n") {
		trimmed = append(trimmed, strings.TrimRight(line, " "))
	}
	got = strings.Join(trimmed, "\n")
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nand not\n%s", name, got, want)
	}
}

// TestTheScreenIsAsTheTerminalIs: 80 by 24, narrower, wider, and very small.
func TestTheScreenIsAsTheTerminalIs(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 30}, {132, 24}} {
		drive(t, size[0], size[1]).is(fmt.Sprintf("%dx%d", size[0], size[1]))
	}
	for width := range 30 {
		for height := range 9 {
			m := drive(t, width, height)
			_ = m.Screen() // whatever fits
		}
	}
}

// TestKeysSortFilterAndScroll, on the server.
func TestKeysSortFilterAndScroll(t *testing.T) {
	d := drive(t, 80, 24)
	last := func() Query { return d.server.asked[len(d.server.asked)-1] }
	if want := (Query{Sort: "requests_per_second", Limit: 18}); last() != want {
		t.Errorf("%+v", last())
	}
	for key, by := range keys {
		if d.press(key); last().Sort != by {
			t.Errorf("%s: %+v", key, last())
		}
	}
	d.press("l", "R", "m", "pgdown", "j")
	if want := (Query{Sort: "latency", Ascending: true, MutedOnly: true, Offset: 19, Limit: 18}); last() != want {
		t.Errorf("%+v", last())
	}
	d.is("muted")
	d.press("pgdown", "pgdown", "pgdown", "pgdown")
	if last().Offset != 56 { // the last one
		t.Errorf("%+v", last())
	}
	d.press("g", "/", "q", "ü", "x", "backspace")
	if last().Search != "qü" || last().Offset != 0 || !d.typing {
		t.Errorf("%+v", last())
	}
	d.is("typing")
	if d.press("enter", "k"); d.typing || last().Search != "qü" {
		t.Errorf("%+v", last())
	}
	if d.press("esc"); last().Search != "" {
		t.Errorf("%+v", last())
	}
	d.press("c")
	if last().MutedOnly {
		t.Error("of those that have ended, only the muted ones are asked for")
	}
	d.is("ended")
	d.press("c", "s")
	if !last().MutedOnly {
		t.Errorf("%+v", last())
	}
	if last().Sort != "bytes_in_per_second" {
		t.Errorf("%+v", last())
	}
	d.send(tea.KeyPressMsg{Code: 'q', Text: "q"})
	if d.next == nil {
		t.Fatal("q does nothing")
	}
	if _, quits := d.next().(tea.QuitMsg); !quits {
		t.Error("q does not quit")
	}
}

// TestAServerThatGoesAwayIsSaidToBeGone, and the screen goes on when it is back.
func TestAServerThatGoesAwayIsSaidToBeGone(t *testing.T) {
	d := drive(t, 80, 24)
	d.server.err = errors.New("connection refused\x1b[2J")
	for range 3 {
		d.send(due{d.asked})
		d.answer()
	}
	d.is("gone")
	d.server.err, d.server.at = nil, -11520+10 // it was started anew
	d.send(due{d.asked})
	d.answer()
	if strings.Contains(d.Screen(), "NO ANSWER") {
		t.Error(d.Screen())
	}
	d.send(due{d.asked})
	d.answer()
	if !d.rates.known {
		t.Error("no rates of the new server")
	}
	s := &server{err: errors.New("connection refused")}
	none := &driven{t: t, server: s, Model: New(s.ask, "unix:/run/kring/http", time.Hour)}
	none.clock = d.clock
	none.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	none.next = none.Init()
	none.answer()
	none.is("never")
}

// TestQuestionsDoNotPileUp: the next is asked when the one before has its answer, an answer
// to an older question is not shown, and none is asked while it is paused.
func TestQuestionsDoNotPileUp(t *testing.T) {
	d := drive(t, 80, 24)
	old := d.ask()
	d.press("l")
	shown := d.last.Status.At
	if d.send(old()); d.last.Status.At != shown || d.next != nil {
		t.Error("an answer to an older question was shown")
	}
	if d.send(due{d.asked - 1}); d.next != nil {
		t.Error("a question was asked twice")
	}
	d.press("space")
	if d.send(due{d.asked}); d.next != nil || !strings.Contains(d.Screen(), "PAUSED") {
		t.Error("it is not paused")
	}
	n := len(d.server.asked)
	if d.press("space"); len(d.server.asked) != n+1 || d.paused {
		t.Error("it does not go on")
	}
}

// TestWithoutATerminalTheListIsPrintedOnce.
func TestWithoutATerminalTheListIsPrintedOnce(t *testing.T) {
	s := &server{}
	m, err := New(s.ask, "127.0.0.1:9644", time.Hour).Sorted("latency", "x").Once(t.Context(), 120, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "once", m.Text())
	if len(s.asked) != 2 || s.asked[1] != (Query{Sort: "latency", Search: "x", Limit: 1000}) {
		t.Errorf("%+v", s.asked)
	}
	s.err = errors.New("gone")
	if _, err := m.Once(t.Context(), 80, 10, 0); err != s.err {
		t.Errorf("%v", err)
	}
}

// TestNumbersFit: in the cells that columns have for them.
func TestNumbersFit(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.01: "<0.1", 0.5: "0.5", 1: "1", 9.96: "10", 999: "999", 999.6: "1.0k", 1234: "1.2k", 12345: "12k", 999_499: "999k", 999_501: "1.0M", 1.5e9: "1.5G", 7e15: "7000T"} {
		if got := Amount(n); got != want || len(got) > 5 {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
	for ms, want := range map[float64]string{0: "-", 0.001: "1µs", 0.9996: "1.0ms", 1.94: "1.9ms", 12.3: "12ms", 999.4: "999ms", 1500: "1.5s", 60000: "60.0s"} {
		if got := Millis(ms); got != want {
			t.Errorf("%v ms: %s, want %s", ms, got, want)
		}
	}
	for ms, want := range map[int64]string{5: "5ms", 59_999: "59s", 61_000: "1m01s", 3_725_000: "1h02m", 90_000_000: "1d01h"} {
		if got := Since(ms); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
