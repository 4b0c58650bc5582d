package conn

import "kring/reqchan"

const (
	// marksMax bounds the marks of a connection: a client that reads slower than it
	// is answered may have 1 MiB of small responses waiting. What is beyond counts
	// with the last mark, or as sent at once.
	marksMax = 256
	// marksKept is how many an empty list keeps room for.
	marksKept = 64
)

// marks remember, for responses that are to be sent, when each is out.
type marks struct {
	list []mark
	at   int   // the first that is not out
	put  int64 // bytes that were ever queued
	out  int64 // bytes that were ever sent
}

// mark is n responses of one API that came and were queued together.
type mark struct {
	upTo            int64 // of marks.put
	api             *apiTimes
	arrived, queued int64
	n               uint64
	way             *way   // of the first; nil: nobody is told of slow ones
	told            uint64 // how many of n went this way
}

// mark notes n responses of one API and ErrorCode, so many bytes together, that
// were queued. t are the times of each of their requests, w is the way of the first.
func (c *Conn) mark(a *apiTimes, t *reqchan.Times, code int16, bytes int, n uint64, w *way) {
	sh, m := c.shared, &c.out.unsent.marks
	sh.recordLatency(a, t, code, n)
	if w != nil {
		w.sends = bytes
	}
	queued := max(sh.now, t.Ready())
	m.put += int64(bytes)
	if len(m.list) > m.at {
		last := &m.list[len(m.list)-1]
		full := len(m.list)-m.at >= marksMax
		if last.api == a && (full || last.arrived == t.Arrived && last.queued == queued && (w == nil || last.way.asked == w.asked)) {
			last.upTo = m.put
			last.n += n
			sh.joinWay(last, w, full, queued, n)
			return
		}
		if full {
			c.sentOne(&mark{m.put, a, t.Arrived, queued, n, w, n})
			return
		}
	}
	if len(m.list) == cap(m.list) && m.at > len(m.list)/2 { // it need not grow
		m.list, m.at = m.list[:copy(m.list, m.list[m.at:])], 0
	}
	m.list = append(m.list, mark{m.put, a, t.Arrived, queued, n, w, n})
}

// joinWay has n responses, of which the first went w, go with the last mark, where they came
// and were queued with it; where there is no room for marks they are told of as sent at once.
func (sh *Shared) joinWay(last *mark, w *way, full bool, queued int64, n uint64) {
	switch {
	case w == nil:
	case full:
		sh.tellSlow(w, last.api.key, queued, queued, n)
	default:
		last.way.sends += w.sends
		last.told += n
		sh.freeWay(w)
	}
}

// sentUpTo notes the responses that are out by now.
func (c *Conn) sentUpTo(bytes int) {
	m := &c.out.unsent.marks
	m.out += int64(bytes)
	for ; m.at < len(m.list) && m.list[m.at].upTo <= m.out; m.at++ {
		c.sentOne(&m.list[m.at])
	}
	if m.at == len(m.list) {
		m.list, m.at = emptied(m.list), 0
	}
}

// emptied is list without marks, and without much room for them.
func emptied(list []mark) []mark {
	if cap(list) > marksKept {
		return nil
	}
	return list[:0]
}

// dropMarks notes the responses that will never be out, and forgets all.
func (c *Conn) dropMarks() {
	m := &c.out.unsent.marks
	for ; m.at < len(m.list); m.at++ {
		c.sentOne(&m.list[m.at])
	}
	*m = marks{list: emptied(m.list)}
}

func (c *Conn) sentOne(m *mark) {
	sh := c.shared
	a := sh.timesOf(m.api.key)
	out := sh.now - sh.waited
	if us := micros(out - m.queued); us > 0 {
		a.send.Note(us, m.n)
	}
	total := micros(out - m.arrived)
	a.total.Note(total, m.n)
	if !a.longPoll {
		c.noteLatency(total, m.n)
	}
	if m.way != nil {
		sh.tellSlow(m.way, m.api.key, m.queued, out, m.told)
		m.way = nil
	}
}
