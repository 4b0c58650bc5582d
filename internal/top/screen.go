package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"kring/views"
)

const (
	// headLines are above the table, with its titles; footLines below it.
	headLines = 5
	footLines = 1
)

// rows is how many connections there is room for.
func (m Model) rows() int { return m.height - headLines - footLines }

// View draws the screen.
func (m Model) View() tea.View {
	v := tea.NewView(m.Screen())
	v.AltScreen, v.WindowTitle = true, "kring top"
	return v
}

// Screen is what View draws, with its styles.
func (m Model) Screen() string {
	lines := append(m.head(), m.table(true)...)
	for len(lines) < m.height-footLines {
		lines = append(lines, "")
	}
	lines = append(lines[:max(m.height-footLines, 0)], m.foot())
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "")
	}
	return strings.Join(lines, "\n")
}

// Text is the same once for where there is no terminal: no styles, and as many lines as
// there are connections.
func (m Model) Text() string {
	lines := append(m.head(), m.table(false)...)
	for i := range lines {
		lines[i] = strings.TrimRight(ansi.Strip(lines[i]), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// head is everything above the table.
func (m Model) head() []string {
	if !m.shown {
		return []string{bold + "kring top" + plain + " · " + m.address, m.goneLine(), "", ""}
	}
	s, r := &m.last.Status, m.rates
	first := fmt.Sprintf("%skring top%s · %s · %s · up %s", bold, plain, m.address, s.Engine, Since(s.UptimeMillis))
	if s.Version != "" {
		first += " · " + Clean(s.Version)
	}
	second, third := "measuring…", m.goneLine()
	if r.known {
		second = fmt.Sprintf("conns %s · req/s %s%s%s · in/s %s · out/s %s · errors/s %s · idle %.0f%%",
			m.conns(), bold, Amount(r.requests), plain, Amount(r.in), Amount(r.out), Amount(r.errors), 100*r.idle)
	}
	if third == "" {
		third = m.loadLine()
	}
	return []string{first, second, third, m.queryLine()}
}

// goneLine says that the server does not answer; empty if it does.
func (m Model) goneLine() string {
	if m.gone == nil {
		if !m.shown {
			return "asking…"
		}
		return ""
	}
	return fmt.Sprintf("%sNO ANSWER since %s%s, trying on: %s", red+bold, m.goneAt.Format("15:04:05"), plain, Clean(m.gone.Error()))
}

// conns are the open connections, of as many as there may be.
func (m Model) conns() string {
	text := Amount(float64(m.last.Status.Open))
	for _, l := range m.last.Status.Limits {
		if l.Name == "connections" {
			text += "/" + Amount(float64(l.Max))
		}
	}
	return text
}

// loadLine is how near the server is to its bounds.
func (m Model) loadLine() string {
	s, r := &m.last.Status, m.rates
	text := fmt.Sprintf("p50 %s · p99 %s · queued %d", Millis(float64(r.p50.Microseconds())/1e3), Millis(float64(r.p99.Microseconds())/1e3), s.Queued)
	if s.Handlers > 0 {
		text += fmt.Sprintf(" · handlers %d/%d", s.HandlersBusy, s.Handlers)
	}
	for _, l := range s.Limits {
		if l.Unit == "bytes" && l.Used*10 >= l.Max {
			text += fmt.Sprintf(" · %s %d%%", strings.ReplaceAll(l.Name, "_", " "), 100*l.Used/l.Max)
		}
	}
	return text
}

// queryLine says what the table shows.
func (m Model) queryLine() string {
	of := m.last.Connections
	what, matched, n := "clients", of.Matched, len(of.Connections)
	if m.ended {
		what, matched = "ended, last first", len(of.Closed)
		n = min(max(matched-m.query.Offset, 0), max(m.rows(), 1))
	}
	text := fmt.Sprintf("%s %d-%d of %d", what, min(m.query.Offset+1, matched), min(m.query.Offset+n, matched), matched)
	if !m.ended {
		text += " by " + m.query.Sort
		if m.query.Ascending {
			text += ", smallest first"
		}
	}
	if m.query.MutedOnly && !m.ended {
		text += " · muted only"
	}
	if m.typing || m.query.Search != "" {
		text += " · /" + Clean(m.query.Search)
		if m.typing {
			text += reverse + " " + plain
		}
	}
	if m.paused {
		text += " · " + bold + "PAUSED" + plain
	}
	if of.Incomplete != "" {
		text += " · " + red + "incomplete" + plain
	}
	return text
}

// table has its titles first.
func (m Model) table(styled bool) (lines []string) {
	title := func(s string) string {
		if styled {
			return reverse + fit(s, m.width, false) + plain
		}
		return s
	}
	if m.ended {
		shown := fitting(closedColumns, m.width)
		lines = append(lines, title(header(shown, "", false)))
		closed := m.last.Connections.Closed
		for i := m.query.Offset; i < len(closed) && len(lines) <= m.rows(); i++ {
			lines = append(lines, row(shown, &closed[i], styled))
		}
	} else {
		shown := fitting(openColumns, m.width)
		lines = append(lines, title(header(shown, m.query.Sort, m.query.Ascending)))
		lines = append(lines, openRows(shown, m.last.Connections.Connections, styled)...)
	}
	if m.gone != nil && styled { // what is shown is old
		for i := range lines[1:] {
			lines[1+i] = faint + ansi.Strip(lines[1+i]) + plain
		}
	}
	return lines
}

func openRows(shown []column[views.Connection], all []views.Connection, styled bool) (lines []string) {
	for i := range all {
		lines = append(lines, row(shown, &all[i], styled))
	}
	return lines
}

// foot is the line of keys.
func (m Model) foot() string {
	if m.typing {
		return faint + "type to search · enter: done · esc: all" + plain
	}
	return faint + "q quit  r/l/i/o/f/d/a/s sort  R reverse  / search  m muted  c ended  space pause" + plain
}
