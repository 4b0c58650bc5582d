package compare

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress is one line that changes on a terminal, a few lines elsewhere.
type progress struct {
	w           io.Writer
	terminal    bool
	begun       time.Time
	done, total int
	// What the steps before this one, and all of them, were expected to take.
	past, all time.Duration
	said      time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			p.terminal = st.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

// sayEvery is how often a line goes to what is no terminal.
const sayEvery = 10 * time.Second

func (p *progress) say(text string) {
	if p.w == nil {
		return
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	} else if time.Since(p.said) > sayEvery {
		p.said = time.Now()
		fmt.Fprintln(p.w, text)
	}
}

// begin says what is to come after what there was to build: so many steps, which
// should take so long.
func (p *progress) begin(total int, all time.Duration) {
	built := time.Since(p.begun)
	p.total, p.all, p.begun = total, all, time.Now()
	p.note(fmt.Sprintf("built in %s; %d runs, about %s", elapsed(built), total, elapsed(all)))
}

// step says what begins now, which should take so long.
func (p *progress) step(text string, takes time.Duration) {
	p.done++
	p.say(fmt.Sprintf("[%d/%d, %s left] %s", p.done, p.total, elapsed(p.left(time.Since(p.begun))), text))
	p.past += takes
}

// again says that the next step is one more than there were to be.
func (p *progress) again() { p.total++ }

// believed is the part of the work after which its own pace says more than what
// was expected of it.
const believed = 20

// left is what remains, at the pace so far.
func (p *progress) left(gone time.Duration) time.Duration {
	rest := max(p.all-p.past, 0)
	if p.past < p.all/believed || p.past == 0 {
		return rest
	}
	return time.Duration(float64(rest) * float64(gone) / float64(p.past))
}

// note says something that stays.
func (p *progress) note(text string) {
	if p.w == nil {
		return
	}
	p.end()
	fmt.Fprintln(p.w, text)
}

func (p *progress) end() {
	if p.w != nil && p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// elapsed is for progress lines.
func elapsed(d time.Duration) string { return d.Round(time.Second).String() }
