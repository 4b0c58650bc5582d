package conn

import "kring/reqchan"

const (
	// outputStepBytes is what is taken of the budget of all responses at once for those
	// that are counted here, and outputHoardMax what may be taken and not used, so that
	// small responses don't all go to the shared count.
	outputStepBytes = 64 << 10
	outputHoardMax  = 4 * outputStepBytes
)

// HoardedOutputMax is how much of the budget of all responses a processor may keep
// without using it. The share of small responses must leave room beside that.
const HoardedOutputMax = outputHoardMax + outputStepBytes

// holdOutput counts n bytes of responses in memory of this processor, until
// letOutputGo. What a request has of its own beyond what jobs keep is counted where it
// is taken.
func (sh *Shared) holdOutput(n int) {
	if sh.bounds.output += int64(n); sh.bounds.output > sh.bounds.paid {
		sh.pay(sh.bounds.output + outputStepBytes - 1)
	}
}

func (sh *Shared) letOutputGo(n int) {
	if sh.bounds.output -= int64(n); sh.bounds.paid-sh.bounds.output > outputHoardMax {
		sh.pay(sh.bounds.output + outputStepBytes)
	}
}

// pay has output count for n bytes, rounded down to steps.
func (sh *Shared) pay(n int64) {
	paid := n - n%outputStepBytes
	for sh.bounds.paid < paid { // in pieces that are small ones
		sh.cfg.Responses.Change(0, outputStepBytes)
		sh.bounds.paid += outputStepBytes
	}
	for sh.bounds.paid > paid {
		sh.cfg.Responses.Change(outputStepBytes, 0)
		sh.bounds.paid -= outputStepBytes
	}
}

// holdResponse counts a response that lies in memory which its job keeps, and says how
// many bytes that is. A response in its request's own frame counts as the request.
func (sh *Shared) holdResponse(r *reqchan.Job) int {
	if r.ResponseHeld() || r.ResponseIsFrame() {
		return 0
	}
	n := r.ResponseMemory()
	sh.holdOutput(n)
	return n
}
