package engine

// PatientSender is an Engine that can hand over sends and wait for what comes after
// them in one system call. An Engine need not be one.
type PatientSender interface {
	// SendsCanWait says of the next Poll that nothing depends on the completions of
	// the Sends since the last one: they may come with what completes next, at most
	// 2 ms later than they could.
	SendsCanWait()
}
