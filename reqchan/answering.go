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
