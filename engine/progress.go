package engine

// Progress is how far a connection's bytes have come beyond what completions tell.
type Progress struct {
	// Acked is how many bytes of ours the peer's system has acknowledged; 0 where
	// the transport has no such count.
	Acked uint64
	// Unsent is how many bytes wait in our system to be sent, acknowledged or, on a
	// Unix domain socket, read.
	Unsent int
	// Unread is how many bytes of the peer's no receive has taken yet.
	Unread int
}

// ProgressTeller is an Engine that knows this. An Engine need not be one.
type ProgressTeller interface {
	// Progress asks the kernel about a connection; false where that can't be told. It
	// costs up to three system calls, for a connection that is about to be closed for
	// its silence. Owner only.
	Progress(fd FD) (Progress, bool)
}
