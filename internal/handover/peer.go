package handover

// PeerError is why the other process does not go on.
type PeerError struct{ Text string }

func (e PeerError) Error() string { return "the other process says: " + e.Text }
