package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// The styles that every terminal has, light or dark.
const (
	bold    = "\x1b[1m"
	faint   = "\x1b[2m"
	reverse = "\x1b[7m"
	yellow  = "\x1b[33m"
	red     = "\x1b[31m"
	plain   = "\x1b[0m"
)

// Clean is a client's text as a terminal may show it: control characters, and those that
// turn the direction of writing, would move the cursor or deceive.
func Clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			b.WriteRune('\u00b7')
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// OrDash is a client's text in a table: clean, and a dash for what it has not said.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return Clean(s)
}

// fit is s in exactly so many cells: cut with an ellipsis, or padded.
func fit(s string, width int, right bool) string {
	if ansi.StringWidth(s) > width {
		s = ansi.Truncate(s, width, "…")
	}
	pad := strings.Repeat(" ", max(width-ansi.StringWidth(s), 0))
	if right {
		return pad + s
	}
	return s + pad
}

// Amount is a number in at most five characters: 999, 1.2k, 345k, 1.2M.
func Amount(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 0.05:
		return "<0.1"
	case n < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
	case n < 999.5:
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	for i, unit := range []string{"k", "M", "G", "T"} {
		n /= 1000
		switch {
		case n < 9.95:
			return strconv.FormatFloat(n, 'f', 1, 64) + unit
		case n < 999.5 || i == 3:
			return strconv.FormatFloat(n, 'f', 0, 64) + unit
		}
	}
	return ""
}

// Millis is a time in milliseconds, in at most six characters, with its unit.
func Millis(ms float64) string {
	switch {
	case ms <= 0:
		return "-"
	case ms < 0.9995:
		return strconv.FormatFloat(ms*1000, 'f', 0, 64) + "µs"
	case ms < 9.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "ms"
	}
	return strconv.FormatFloat(ms/1000, 'f', 1, 64) + "s"
}

// Since is how long something has been, in at most six characters.
func Since(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
