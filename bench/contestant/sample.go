package contestant

// Sample is what the system knows of a process, as totals since its start.
type Sample struct {
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	Voluntary     uint64  `json:"voluntary_switches"`
	Involuntary   uint64  `json:"involuntary_switches"`
	RSSBytes      int64   `json:"rss_bytes"`
	Threads       int     `json:"threads"`
	// WaitedSeconds is for how long threads were ready to run and others had their
	// processor.
	WaitedSeconds float64 `json:"waited_seconds,omitempty"`
	// BusySeconds and StolenSeconds are the whole machine's.
	BusySeconds   float64 `json:"machine_busy_seconds"`
	StolenSeconds float64 `json:"machine_stolen_seconds"`
}

// Since is what happened between two samples; RSSBytes and Threads are the
// later one's.
//
// The kernel knows the sum exactly and splits it by samples, so a part of a
// short time may be negative: then it is the other's.
func (s Sample) Since(earlier Sample) Sample {
	user, system := s.UserSeconds-earlier.UserSeconds, s.SystemSeconds-earlier.SystemSeconds
	sum := user + system
	user = min(max(user, 0), max(sum, 0))
	return Sample{
		UserSeconds:   user,
		SystemSeconds: sum - user,
		Voluntary:     s.Voluntary - min(s.Voluntary, earlier.Voluntary),
		Involuntary:   s.Involuntary - min(s.Involuntary, earlier.Involuntary),
		RSSBytes:      s.RSSBytes,
		Threads:       s.Threads,
		WaitedSeconds: max(0, s.WaitedSeconds-earlier.WaitedSeconds), // of a thread that ended nothing is known
		BusySeconds:   s.BusySeconds - earlier.BusySeconds,
		StolenSeconds: s.StolenSeconds - earlier.StolenSeconds,
	}
}

// CPUSeconds is user and system together.
func (s Sample) CPUSeconds() float64 { return s.UserSeconds + s.SystemSeconds }
