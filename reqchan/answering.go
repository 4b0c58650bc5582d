package reqchan

// Answering sees an answer before it is given.
type Answering interface {
	// Answering is called once, by the goroutine that answers r with
	// AnswerSend or AnswerNoResponse, before the answer takes effect: it may call
	// r.Throttle, and return other memory to be sent than payload. r.Payload() is
	// as the handler left it. It must not block. There is nothing to be sent of an
	// AnswerNoResponse: what is not nil closes the connection instead (HandlerClosed).
	Answering(r Request, k AnswerKind, payload []byte) []byte
	// AnsweringParts is the same for RespondParts. size is the length of the
	// payload, head what of it lies in memory before the first file; it may be
	// changed where it is. Other memory that is returned is sent instead of
	// the parts, and their files are released; nil: the parts are sent.
	AnsweringParts(r Request, head []byte, size int) (instead []byte)
}

// BeforeAnswer has a see the answer to r, if it is given by Respond,
// RespondParts or NoResponse. Call it before the handler is; of several calls the last counts.
func (r Request) BeforeAnswer(a Answering) {
	if r.enter(claimed) {
		r.job.answering = a
		r.job.state.Or(watched)
		r.job.exit()
	}
}

// AnswerWatcher is told of an answer, and changes nothing about it.
type AnswerWatcher interface {
	// Answered is called once, by the goroutine that answers r, before the answer takes
	// effect and after Answering: also for AnswerClose. The payload has size bytes, and
	// begins with head, which is what of it lies in memory before the first file. It must
	// not block, and not keep head.
	Answered(r Request, k AnswerKind, head []byte, size int)
}

// WatchAnswer has w be told of the answer to r, whatever it is, unless r's handler panics.
// Call it before the handler is; of several calls the last counts.
func (r Request) WatchAnswer(w AnswerWatcher) {
	if r.enter(claimed) {
		r.job.watcher = w
		r.job.state.Or(watched)
		r.job.exit()
	}
}

// told tells who watches, if anybody does. The caller has claimed r.
func (r Request) told(k AnswerKind, head []byte, size int) {
	if r.job.watcher != nil {
		r.tell(k, head, size)
	}
}

// tell is told for somebody. A watcher that panics leaves the request without an answer.
func (r Request) tell(k AnswerKind, head []byte, size int) {
	done := false
	defer func() {
		if !done {
			r.job.released, r.job.response = nil, nil // the caller is still at it
			r.job.unclaim()
		}
	}()
	r.job.watcher.Answered(r, k, head, size)
	done = true
}
