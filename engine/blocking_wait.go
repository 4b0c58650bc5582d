package engine

import "time"

// BlockingWaitMax is how much longer an Engine may take where its owner allows it.
const BlockingWaitMax = 2 * time.Millisecond

// DelayedSender is an Engine that can hand over sends and wait for what comes after
// them in one system call. An Engine need not be one.
type DelayedSender interface {
	// AllowDelayedSends says of the next Poll that nothing depends on the completions of
	// the Sends since the last one: they may come with what completes next, at most
	// BlockingWaitMax later than they could.
	AllowDelayedSends()
}

// WaitAnnouncer is an Engine that at times waits, for up to BlockingWaitMax, without the Go
// scheduler's knowledge. An Engine need not be one.
type WaitAnnouncer interface {
	// AnnounceWait says of the next Poll that others work for the owner, and may have no P
	// but its own: whatever it waits is announced.
	AnnounceWait()
}

// BlockingWaiter is an Engine that may wait cheaper while its owner has nothing with
// other goroutines. An Engine need not be one.
type BlockingWaiter interface {
	// AllowBlockingP says of the next Poll that nobody is at work for the owner: it may
	// keep its P of the Go scheduler for BlockingWaitMax of its wait. A Wake ends that as it
	// does any wait.
	AllowBlockingP()
}
