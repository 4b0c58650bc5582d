package acceptor

// Bounds derived from the number of descriptors that this process may open.
const (
	// A fifth of them, at most reserveMax, is kept for what is neither an admitted
	// connection nor a handler's file: rings, listening sockets, queued and throttled
	// connections. At least reserveLeast are left beside what the server itself
	// holds.
	reserveShare = 5
	reserveMax   = 4096
	reserveLeast = 8
	// A twentieth of them, and at most throttledConnsMax, may be throttled.
	throttledShare    = 20
	throttledConnsMax = 1024
)

// Descriptors says how the descriptors of this process are divided.
type Descriptors struct {
	// Limit is RLIMIT_NOFILE; 0: no limit, and no bound follows from it.
	Limit int
	// Own are those of the process, the engines and the listeners.
	Own int
	// Reserve is for queued and throttled connections, and for files that are open for a
	// moment.
	Reserve int
	// Files may be held by the Handler, Conns are connections; 0 Conns: no bound.
	Files, Conns int
	// Short is how many are missing for the connections that were asked for.
	Short int
}

// PlanDescriptors divides limit (0: none) among the server's own descriptors, files
// of the Handler, and conns connections (0: as many as possible). Files and
// connections get up to half of the rest each; what one does not want the other
// gets.
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

// DescriptorLimit is how many descriptors this process may open; 0: no limit.
func DescriptorLimit() int { return descriptorLimit() }

// ConnsMaxDefault is the bound on connections that follows from RLIMIT_NOFILE if
// nothing else holds descriptors; 0: no bound.
func ConnsMaxDefault() int { return PlanDescriptors(descriptorLimit(), 0, 0, 0).Conns }

// ThrottledConnsMaxDefault is the default bound on throttled connections.
func ThrottledConnsMaxDefault() int {
	n := descriptorLimit()
	if n == 0 {
		return throttledConnsMax
	}
	return max(min(n/throttledShare, throttledConnsMax), 1)
}

// freeLeast is how many descriptors must be free when a server starts: one for a
// client that is served, one for the next, which is refused, and some for files
// that are open for a moment.
const freeLeast = 4

// HasRoom reports whether freeLeast descriptors are free. With fewer, every client
// would be refused.
func HasRoom() bool {
	for range freeLeast {
		release, err := openSpare()
		if err != nil {
			return !outOfDescriptors(err)
		}
		defer release()
	}
	return true
}
