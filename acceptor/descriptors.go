package acceptor

// Bounds that follow from how many descriptors this process may have open.
const (
	// A fifth of them, and at most reserveMax, is kept for what is neither a
	// connection that has a place nor a handler's file: rings, listening sockets,
	// connections that wait in line and those parked. It is never less than
	// reserveLeast beside what the server itself holds.
	reserveShare = 5
	reserveMax   = 4096
	reserveLeast = 8
	// A twentieth of them, and at most parkedMax, may be parked.
	parkedShare = 20
	parkedMax   = 1024
)

// Descriptors says what the descriptors of this process are for.
type Descriptors struct {
	// Limit is RLIMIT_NOFILE; 0: there is none, and nothing is bounded by it.
	Limit int
	// Own are those of the process, the engines and the listeners.
	Own int
	// Reserve is for connections that wait in line or are parked, and for files that
	// are open for a moment.
	Reserve int
	// Files may be held by the Handler, Conns are connections; 0 Conns: no bound.
	Files, Conns int
	// Short is how many more would be needed for the connections that were asked for.
	Short int
}

// PlanDescriptors divides limit (0: none) among what the server itself holds, files
// that the Handler would like to hold, and connections: conns of them, or as many
// as can be (0). Files and connections have half of what is there each, as far as
// they want it.
func PlanDescriptors(limit, own, files, conns int) Descriptors {
	d := Descriptors{Limit: limit, Own: own, Files: files, Conns: max(conns, 0)}
	if limit == 0 {
		return d
	}
	d.Reserve = max(min(limit/reserveShare, reserveMax)-own, reserveLeast)
	free := max(limit-own-d.Reserve, 0)
	if conns <= 0 {
		d.Files = min(files, free/2)
		d.Conns = max(free-d.Files, 1)
		return d
	}
	d.Files = min(files, max(free/2, free-conns))
	if d.Conns = min(conns, max(free-d.Files, 1)); conns > d.Conns {
		d.Short = conns - d.Conns
	}
	return d
}

// DescriptorLimit is how many descriptors this process may have open; 0: there is
// no such limit.
func DescriptorLimit() int { return descriptors() }

// ConnsMaxDefault is how many connections a server should have at most, by
// RLIMIT_NOFILE, when nothing else holds descriptors; 0, no bound, where there is
// no such limit.
func ConnsMaxDefault() int { return PlanDescriptors(descriptors(), 0, 0, 0).Conns }

// ParkedMaxDefault is how many connections should be parked at most.
func ParkedMaxDefault() int {
	n := descriptors()
	if n == 0 {
		return parkedMax
	}
	return max(min(n/parkedShare, parkedMax), 1)
}

// roomLeast is how many descriptors must be free when a server begins: one for a
// client that is served, one for the next that is told to go, and some for files
// that are open for a moment.
const roomLeast = 4

// HasRoom says whether anybody could be served: with fewer descriptors every client
// would be reset, one after the other.
func HasRoom() bool {
	for range roomLeast {
		release, err := openSpare()
		if err != nil {
			return !scarce(err)
		}
		defer release()
	}
	return true
}
