package acceptor

// Bounds that follow from how many descriptors this process may have open.
const (
	// A fifth of them, and at most reserveMax, is kept for what is no connection
	// that has a place: files, rings, those that wait in line and those parked.
	reserveShare = 5
	reserveMax   = 4096
	// A twentieth of them, and at most parkedMax, may be parked.
	parkedShare = 20
	parkedMax   = 1024
)

// ConnsMaxDefault is how many connections a server should have at most, by
// RLIMIT_NOFILE; 0, no bound, where there is no such limit.
func ConnsMaxDefault() int {
	n := descriptors()
	return n - min(n/reserveShare, reserveMax)
}

// ParkedMaxDefault is how many connections should be parked at most.
func ParkedMaxDefault() int {
	n := descriptors()
	if n == 0 {
		return parkedMax
	}
	return max(min(n/parkedShare, parkedMax), 1)
}
