package reqchan

import "kring/internal/budget"

// ResponseRoom is how large the response should be at most, in bytes, for the memory of
// all responses to stay within its bound (Config.Memory.ResponseBytesMax): a part of what is
// free, 64 KiB at least. Buffer gives more as well: that counts, and requests of an API
// whose responses are large wait until there is room for another. Any goroutine.
func (r Request) ResponseRoom() int { return int(BudgetOf(r).Room()) }

// BudgetOf is that of all responses, for handlers of this module that wait for room
// themselves; nil: there is none. Any goroutine.
func BudgetOf(r Request) *budget.Budget {
	if r.job == nil {
		return nil
	}
	return r.job.budget
}

// PaceResponse says that the handler itself waits for room, before it makes a response
// that takes much. Before Buffer; after the answer it does nothing.
func (r Request) PaceResponse() {
	if r.enter(claimed) {
		r.job.paced = true
		r.job.state.Or(noted)
		r.job.exit()
	}
}

// Early says that r comes before there is room for what its response may take; for
// whoever is about to call Handle while the budget is tight.
func (r *Job) Early() bool {
	b := r.budget
	return b.Tight() && !r.ticketed && b.Expect(r.API) > budget.SmallBytes
}

// Postpone brings r home unanswered, to be handed out again when there is room for its
// response.
func (r *Job) Postpone() {
	if r.Request().claim() {
		r.publish(AnswerLater, ReasonNone)
	}
}

// Postponed says that; for the processor, once r is home.
func (r *Job) Postponed() bool { return r.kind == AnswerLater }

// TakeTicket gives r what its response is expected to take. It is given back when the
// response takes memory, or r is Reset. For the processor, before r leaves its hands.
func (r *Job) TakeTicket(t *budget.Ticket) {
	if r.ticketed { // of the request that used the job before
		r.endTicket()
	}
	r.ticket, r.ticketed = t, true
}

// LoseResponse counts the memory of the response as given back: the engine keeps it, and
// r is not used any more. Its files are.
func (r *Job) LoseResponse() {
	r.releaseParts()
	r.letGo(&r.largeHeld)
	r.letGo(&r.ownHeld)
}

// MadeSmall gives back what the response was expected to take and has not taken. For the
// processor, once r is home.
func (r *Job) MadeSmall() {
	if r.ticketed {
		r.madeSmall()
	}
}

func (r *Job) madeSmall() {
	r.endTicket()
	r.budget.Unlearn(r.API)
}

func (r *Job) endTicket() {
	r.ticket.Release()
	r.ticket, r.ticketed = nil, false
}

// LoseMemory says that the kernel may go on to use the memory of r's Payload and Buffer after
// the answer, because the engine of an Upstream that had it could not end that
// (kring.ErrMemoryHeld): nobody gets it again. It is counted as lost. Before the answer; after
// it it does nothing. Any goroutine.
func (r Request) LoseMemory() {
	if r.enter(claimed) {
		r.job.lost = true
		r.job.state.Or(noted)
		r.job.exit()
	}
}

// MemoryLost says that; for the processor, once r is home: then r is not used any more.
func (r *Job) MemoryLost() bool { return r.lost }

// BufferBytes is how much memory of the pool r has for its response.
func (r *Job) BufferBytes() int { return cap(r.large) + cap(r.own) }
