package processor

import "kring/reqchan"

// closing is a walk over the connections that closes some, some of them in each pass.
type closing struct {
	at     int // the slot to look at next
	ids    map[reqchan.ConnID]bool
	why    reqchan.CloseReason
	closed []reqchan.ConnID
	answer func(closed []reqchan.ConnID)
}

// CloseConns closes those of ids that are here, whatever they have in flight, and has answer
// called once with those that it told to end. A connection that is closing anyway, or on its
// way from one processor to another, is not among them. answer runs on the processor's
// goroutine, or on the caller's if the processor has ended, and must not block. ids must not
// change any more. Any goroutine.
func (p *Processor) CloseConns(ids map[reqchan.ConnID]bool, why reqchan.CloseReason, answer func(closed []reqchan.ConnID)) {
	p.closeMore(&closing{ids: ids, why: why, answer: answer})
}

// closeMore has a walk go on in the next pass.
func (p *Processor) closeMore(w *closing) {
	if !p.inbox.submit(func() { p.closeSome(w) }) {
		w.answer(w.closed)
	}
}

func (p *Processor) closeSome(w *closing) {
	for n := 0; n < listedPerPassMax && w.at < len(p.slots.all); n++ {
		c := p.slots.all[w.at]
		w.at++
		if c.Info() == nil || !w.ids[c.Info().ID] {
			continue
		}
		if id := c.Info().ID; c.CutOff(w.why) { // its life may be over by now
			w.closed = append(w.closed, id)
		}
	}
	if w.at < len(p.slots.all) && len(w.closed) < len(w.ids) {
		p.closeMore(w)
		return
	}
	w.answer(w.closed)
}
