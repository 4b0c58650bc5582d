package top

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"kring/views"
)

// Query is what a Model wants to see.
type Query struct {
	Sort          string // a key of views.SortKeys
	Ascending     bool
	Search        string
	MutedOnly     bool
	Offset, Limit int
}

// Snapshot is one answer.
type Snapshot struct {
	Status      views.Status
	Connections views.Connections
}

// Source asks the server. It must end when ctx does.
type Source func(ctx context.Context, q Query) (Snapshot, error)

// askPatience is how long an answer may take before the server counts as gone.
const askPatience = 5 * time.Second

// Model is the screen. Make it with New.
type Model struct {
	source  Source
	address string
	every   time.Duration

	width, height int
	query         Query
	asked         int // how often; an answer to an older question is not shown
	typing        bool
	paused        bool
	ended         bool // the list is of those that have ended

	shown  bool // there was an answer
	last   Snapshot
	rates  rates
	gone   error // why there is no answer now; nil: there is
	goneAt time.Time
	clock  func() time.Time
}

// New makes the screen of the server at address, which source asks every so often.
func New(source Source, address string, every time.Duration) Model {
	return Model{source: source, address: address, every: every, width: 80, height: 24, clock: time.Now, query: Query{Sort: "requests_per_second"}}
}

// Sorted has the list be sorted by a key of views.SortKeys, and searched for a text.
func (m Model) Sorted(by string, search string) Model {
	m.query.Sort, m.query.Search = by, search
	return m
}

// answered is what came of a question.
type answered struct {
	asked    int
	snapshot Snapshot
	err      error
}

// due says that it is time for the next question.
type due struct{ asked int }

// Init asks for the first time.
func (m Model) Init() tea.Cmd { return m.ask() }

// ask has the source asked what m wants to see now.
func (m Model) ask() tea.Cmd {
	source, asked, q := m.source, m.asked, m.query
	q.Limit = max(m.rows(), 1)
	if m.ended {
		q.MutedOnly = false // who has ended is not muted: the server would choose none of them
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), askPatience)
		defer cancel()
		s, err := source(ctx, q)
		return answered{asked, s, err}
	}
}

// again asks at once, for something else.
func (m Model) again() (Model, tea.Cmd) {
	m.asked++
	return m, m.ask()
}

// Update takes a message.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		grew := msg.Height > m.height
		if m.width, m.height = msg.Width, msg.Height; grew {
			return m.again()
		}
	case answered:
		if msg.asked != m.asked {
			return m, nil // its question was replaced, and that one's answer comes
		}
		m = m.take(msg)
		asked := m.asked
		return m, tea.Tick(m.every, func(time.Time) tea.Msg { return due{asked} })
	case due:
		if msg.asked == m.asked && !m.paused {
			return m, m.ask()
		}
	case tea.KeyPressMsg:
		if m.typing {
			return m.typed(msg)
		}
		return m.pressed(msg.String())
	}
	return m, nil
}

// take shows an answer, or that there is none.
func (m Model) take(a answered) Model {
	if a.err != nil {
		if m.gone == nil {
			m.goneAt = m.clock()
		}
		m.gone = a.err
		return m
	}
	m.gone = nil
	if now := between(&m.last.Status, &a.snapshot.Status); now.known || !m.shown || a.snapshot.Status.At.After(m.last.Status.At) {
		m.rates = now
	}
	m.last, m.shown = a.snapshot, true
	return m
}

// keys are what a key sorts by.
var keys = map[string]string{
	"r": "requests_per_second", "i": "bytes_in_per_second", "o": "bytes_out_per_second", "b": "bytes_per_second",
	"l": "latency", "f": "in_flight", "d": "idle", "a": "age", "u": "queued_bytes",
}

// pressed does what a key is for.
func (m Model) pressed(key string) (tea.Model, tea.Cmd) {
	if by, is := keys[key]; is {
		m.query.Sort, m.query.Offset = by, 0
		return m.again()
	}
	page := max(m.rows(), 1)
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "s":
		order := []string{"requests_per_second", "latency", "bytes_in_per_second", "bytes_out_per_second", "in_flight", "idle", "age"}
		m.query.Sort = order[(slices.Index(order, m.query.Sort)+1)%len(order)]
	case "R":
		m.query.Ascending = !m.query.Ascending
	case "m":
		m.query.MutedOnly, m.query.Offset = !m.query.MutedOnly, 0
	case "c":
		m.ended, m.query.Offset = !m.ended, 0
	case "/":
		m.typing = true
		return m, nil
	case "esc":
		m.query.Search, m.query.Offset = "", 0
	case "space", " ":
		if m.paused = !m.paused; m.paused {
			return m, nil
		}
	case "down", "j":
		m.query.Offset = m.within(m.query.Offset + 1)
	case "up", "k":
		m.query.Offset = m.within(m.query.Offset - 1)
	case "pgdown":
		m.query.Offset = m.within(m.query.Offset + page)
	case "pgup":
		m.query.Offset = m.within(m.query.Offset - page)
	case "home", "g":
		m.query.Offset = 0
	default:
		return m, nil
	}
	return m.again()
}

// within is the offset that is nearest and has something to show.
func (m Model) within(offset int) int {
	matched := m.last.Connections.Matched
	if m.ended {
		matched = len(m.last.Connections.Closed)
	}
	return max(min(offset, matched-1), 0)
}

// typed takes a key of the text that is searched for.
func (m Model) typed(msg tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch msg.String() {
	case "ctrl+c":
		return m, tea.Quit
	case "enter":
		m.typing = false
		return m, nil
	case "esc":
		m.typing, m.query.Search = false, ""
	case "backspace":
		if text := []rune(m.query.Search); len(text) > 0 {
			m.query.Search = string(text[:len(text)-1])
		}
	default:
		if msg.Text == "" {
			return m, nil
		}
		m.query.Search += msg.Text
	}
	m.query.Offset = 0
	return m.again()
}
