package engine

import "time"

// PatienceMax is how much longer an Engine may take where its owner is patient.
const PatienceMax = 2 * time.Millisecond

// PatientSender is an Engine that can hand over sends and wait for what comes after
// them in one system call. An Engine need not be one.
type PatientSender interface {
	// SendsCanWait says of the next Poll that nothing depends on the completions of
	// the Sends since the last one: they may come with what completes next, at most
	// PatienceMax later than they could.
	SendsCanWait()
}

// PatientWaiter is an Engine that may wait cheaper while its owner has nothing with
// other goroutines. An Engine need not be one.
type PatientWaiter interface {
	// OthersCanWait says of the next Poll that nobody is at work for the owner: it may
	// keep its P of the Go scheduler for PatienceMax of its wait. A Wake ends that as it
	// does any wait.
	OthersCanWait()
}
