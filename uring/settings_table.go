package uring

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"kring/internal/fault"
)

// settings is the one table of what can be set, in the order of Config's fields: their
// comments say the most of each. Set, defaults, Validate, ValidateFor, Settings, the rows
// of doctor, the table of docs/experiments.md, kring serve's list and the techniques of
// bench ablate come from it.
var settings = []setting{
	{key: "entries", field: "Entries", since: "5.1",
		says: "submissions an engine queues before it must enter the kernel · large bursts · cache",
		def:  512, check: within(1, entriesMax), try: words("8")},
	{key: "cq-entries", field: "CQEntries", since: "5.5",
		says: "completions the kernel can leave before it takes a slow list · many connections · memory, 16 bytes each",
		def:  func(c *Config) int { return min(max(8192, 2*c.Entries), 2*entriesMax) }, check: between(func(c *Config) (int, int) { return min(max(c.Entries, 1), entriesMax), 2 * entriesMax }), try: words("16,entries=8")},
	{key: "buffers", field: "Buffers", since: "5.19",
		says: "most receive buffers of an engine, a power of two · slow handlers that keep data · memory",
		def:  1024, check: checkBuffers, try: words("16")},
	{key: "buffers-hot", field: "BuffersHot", since: "5.19",
		says: "buffers with the kernel to begin with · a small number stays in the cache · bursts, until it has grown",
		def:  func(c *Config) int { return min(128, c.Buffers) }, check: between(func(c *Config) (int, int) { return 1, max(c.Buffers, 1) }), try: words("1"),
		compare: []Comparison{{Technique: "hot window of receive buffers", Switch: "all 1024 at once", Values: "1024"}}},
	{key: "buffer-bytes", field: "BufferBytes", since: "5.19",
		says: "size of each · small for many small clients, large for producers · see `buffers`",
		def:  20 << 10, check: within(64, 1<<20), try: words("512"),
		compare: []Comparison{{Technique: "size of receive buffers", Switch: "2 KiB", Values: "2048"}}},
	{key: "large-buffers", field: "LargeBuffers", since: "5.19",
		says:     "64 buffers of 72 KiB for frames larger than `buffer-bytes`, with `recv=multishot` · frames of 20 to 64 KiB · memory, 4.5 MiB",
		excludes: excludesLarge,
		compare:  []Comparison{{Technique: "large buffers", Switch: "off", Values: "off"}}},
	{key: "send-bytes", field: "SendBytesMax", since: "",
		says: "most bytes of one send, of which a connection gives 1 MiB at most · large responses · one long copy holds up everybody",
		def:  1<<20 + 64<<10, check: within(1, 1<<30), try: words("4096")},
	{key: "send-buffers", field: "SendBuffersMax", since: "",
		says: "most buffers gathered into one send, of which a connection gives 64 at most · pipelined small responses · no known harm",
		def:  128, check: within(1, sendBuffersMax), try: words("1"),
		compare: []Comparison{{Technique: "gathered send", Switch: "one buffer a send", Values: "1"}}},
	{key: "submit-all", field: "SubmitAll", since: "5.18",
		says: "a refused operation does not stop its batch"},
	{key: "coop-taskrun", field: "CoopTaskrun", since: "5.19",
		says:    "no interrupt to finish work · busy engines · handlers that compute for milliseconds beside a parked engine: what came for it meanwhile waits for up to 10 ms",
		compare: []Comparison{{Technique: "cooperative task work", Switch: "off", Values: "off", Dispatch: "pool"}}},
	{key: "taskrun-flag", field: "TaskrunFlag", since: "5.19",
		says:     "shows in memory that there is work to finish · always · off costs a call for each look",
		excludes: excludesTaskrunFlag},
	{key: "single-issuer", field: "SingleIssuer", since: "6.0",
		says:    "one thread submits, which saves a lock · *locked*",
		locked:  changesThreads,
		compare: []Comparison{{Technique: "single issuer", Switch: "off", Values: "off"}}},
	{key: "defer-taskrun", field: "DeferTaskrun", since: "6.1",
		says:   "finishes work when the engine asks, in batches · most of all flags · needs `single-issuer`, *locked*",
		locked: changesThreads, excludes: excludesDeferTaskrun,
		compare: []Comparison{{Technique: "deferred task work", Switch: "off", Values: "off", Dispatch: "inline"}}},
	{key: "no-sqarray", field: "NoSQArray", since: "6.6",
		says:    "no array of indices · saves a memory access for each submission",
		compare: []Comparison{{Technique: "no SQ array", Switch: "off", Values: "off"}}},
	{key: "no-iowait", field: "NoIOWait", since: "6.15",
		says: "an idle engine is not \"waiting for I/O\" · idle machines, frequency governors"},
	{key: "clamp", field: "Clamp", since: "5.6",
		says: "the kernel cuts sizes to its limits; off fails instead"},
	{key: "sqpoll", field: "SQPoll", since: "5.11",
		says: "a thread of the kernel takes submissions, and sleeps after so long without any · a CPU to spare for each engine, calls that are dear · takes that CPU from others, operations cross CPUs; instead of the three `taskrun` settings",
		uses: words("SQPOLL"), try: words("2ms"), check: checkSQPoll, excludes: excludesSQPoll,
		compare: []Comparison{{Technique: "submission thread", Switch: "on, 2 ms", Values: "2ms", Dispatch: "inline"}}},
	{key: "sqpoll-cpus", field: "SQPollCPUs", since: "5.11",
		says: "binds those threads to CPUs in turn, such as `0-2+5`",
		try:  words("0,sqpoll=2ms"), excludes: excludesSQPollCPUs},
	{key: "registered-ring", field: "RegisteredRing", since: "5.18",
		says: "enters by the thread's own index · processes of many threads · no gain with few, *locked*",
		uses: []string{"registered ring fd"}, locked: changesThreads,
		compare: []Comparison{{Technique: "registered ring descriptor", Switch: "on", Values: "on", Dispatch: "inline"}}},
	{key: "restrict", field: "Restrict", since: "5.10",
		says:    "the ring runs only what the engine uses · hardening · a bit test for each operation",
		uses:    words("RESTRICTIONS"),
		compare: []Comparison{{Technique: "restrictions", Switch: "on", Values: "on"}}},
	{key: "iowq-workers", field: "IOWQWorkersMax", since: "5.15",
		says: "most kernel threads of a ring that read files, where the file system can't read without one (FUSE, NFS, overlay) · more reads that wait for a slow disk at once · a thread for each, while it waits; sockets need none",
		def:  16, check: within(1, 1024), try: words("2")},
	{key: "accept", field: "Accept", since: "5.19",
		says:  "`multishot`: one submission until it is cancelled; `single`: one for each connection · kernels 6.6 to 6.8, whose multishot accept could err under a flood · a submission more for each",
		names: []string{AcceptMultishotMode, AcceptSingleMode}},
	{key: "direct-fds", field: "DirectFDs", since: "6.13",
		says: "each ring has a table of its sockets and names them by their place in it, which saves a look-up for each operation · processes of many threads · short connections; no gain with few threads",
		uses: []string{"direct descriptors"}},
	{key: "recv", field: "Recv", since: "6.0",
		says:  "`multishot`: one submission for a connection's life; `single`: one for each completion; `fixed`: one for each, by READ_FIXED into registered buffers · single helps rare traffic that is often muted; fixed shows that sockets gain nothing from it · fixed keeps a buffer with each connection that waits",
		names: []string{RecvMultishotMode, RecvSingleMode, RecvFixedMode}, uses: []string{"registered buffers"}, on: RecvFixedMode,
		compare: []Comparison{{Technique: "multishot receive", Switch: "one by one", Values: RecvSingleMode}}},
	{key: "bundles", field: "Bundles", since: "6.10",
		says: "one completion for the data of several buffers · streams larger than a buffer · kernels 6.13 and 6.14 could mix up the order of bytes; not with `incremental`",
		uses: words("RECVSEND_BUNDLE"), excludes: excludesBundles},
	{key: "incremental", field: "Incremental", since: "6.12",
		says: "receives share a buffer, one behind the other · many small receives that are kept · one slow request keeps what hundreds of others lie in; refused where completions come in another order than bytes (before 6.15)",
		uses: []string{"incremental buffers"}},
	{key: "poll-first", field: "PollFirst", since: "5.19",
		says:    "wait for data before looking · `off` where data is always there, `on` where a look is mostly in vain",
		compare: []Comparison{{Technique: "poll before receiving", Switch: "off", Values: "off"}}},
	{key: "zero-copy-bytes", field: "ZeroCopyBytes", since: "6.0",
		says: "sends from this size on go without a copy · large responses to other machines · small ones, loopback, peers that only read: the next send waits for their acknowledgement",
		uses: words("SEND_ZC SENDMSG_ZC"), on: "16384", check: checkZeroCopy, try: words("1 16384"),
		compare: []Comparison{{Technique: "zero-copy send", Switch: "from 16 KiB", Values: "16384"}}},
	{key: "zero-copy-fixed", field: "ZeroCopyFixed", since: "6.0",
		says: "such sends use registered memory where they lie in it · saves pinning pages for each · see `zero-copy-bytes`; 6.15 for gathered ones",
		uses: []string{"registered buffers"}, on: "on,zero-copy-bytes=16384", try: words("on,zero-copy-bytes=1"), excludes: excludesZeroCopyFixed},
	{key: "send", field: "Send", since: "5.1",
		says:  "`fixed`: what lies in registered memory is written by WRITE_FIXED · no look-up of pages · a write can't go on after a short one; 6.15 for gathered ones",
		names: []string{SendPlainMode, SendFixedMode}, uses: []string{"registered buffers", "WRITEV_FIXED"}},
	{key: "fixed-bytes", field: "FixedBytes", since: "5.1",
		says: "memory that each engine registers, and as much again with `recv=fixed` · more of the traffic lies in it · resident, and of the memlock limit",
		def:  fixedBytes, check: checkFixedBytes, try: words("262144,send=fixed,recv=fixed"), excludes: excludesFixedBytes},
	{key: "wake", field: "Wake", since: "6.13",
		says:  "`msg-ring`: a wake posts a completion instead of writing to an eventfd · no read to arm again · *locked*",
		names: []string{WakeEventfd, WakeMsgRing}, uses: words("MSG_RING SEND_MSG_RING"), locked: sleepsOnPoller,
		compare: []Comparison{{Technique: "wake", Switch: "MSG_RING", Values: WakeMsgRing, Dispatch: "inline"}}},
	{key: "quiet-wait", field: "QuietWait", since: "",
		says:     "waits 1 to 2 ms without telling the Go scheduler before it tells it · load between idle and busy: the runtime leaves the thread alone · goroutines that wait for just this P; not with `min-wait`",
		excludes: excludesQuietWait,
		compare:  []Comparison{{Technique: "quiet wait", Switch: "off", Values: "off", Dispatch: "inline"}}},
	{key: "busy-poll", field: "BusyPoll", since: "",
		says:  "polls this long before it sleeps, and backs off when nothing comes · answers that arrive in that time · costs CPU",
		check: upTo(time.Millisecond, 0), try: words("20us,busy-poll-forced=on"), excludes: excludesBusyPoll,
		compare: []Comparison{{Technique: "busy-poll", Switch: "50 µs, forced", Values: "50us,busy-poll-forced=on", Dispatch: "inline"}}},
	{key: "busy-poll-free-cpus", field: "BusyPollFreeCPUs", since: "",
		says: "CPUs that polling engines leave alone; a machine that has no more refuses `busy-poll`",
		def:  2, check: within(1, 1024), try: words("1,busy-poll=20us,busy-poll-forced=on")},
	{key: "busy-poll-forced", field: "BusyPollForced", since: "",
		says: "polls whatever CPUs are free",
		try:  words("on,busy-poll=5us"), excludes: excludesBusyPollForced},
	{key: "min-wait", field: "MinWait", since: "6.12",
		says: "sleeps until several completions are there, or for so long · throughput under load · latency of quiet connections, *locked*",
		uses: words("MIN_TIMEOUT"), locked: sleepsOnPoller, check: upTo(10*time.Millisecond, time.Microsecond), try: words("20us"),
		compare: []Comparison{{Technique: "min-wait", Switch: "20 µs", Values: "20us", Dispatch: "inline"}}},
	{key: "min-wait-completions", field: "MinWaitCompletions", since: "6.12",
		says: "how many",
		def:  minWaitCompletions, shown: "8", check: checkMinWaitCompletions, try: words("4,min-wait=50us"), excludes: excludesMinWaitCompletions},
	{key: "napi-busy-poll", field: "NAPIBusyPoll", since: "6.9",
		says: "the kernel polls the network card while it waits · latency on real cards · a CPU; nothing on loopback, *locked*",
		uses: words("NAPI"), locked: sleepsOnPoller, check: upTo(time.Millisecond, time.Microsecond), try: words("5us")},
	{key: "cpus", field: "CPUs", since: "",
		says:   "binds engines to CPUs in turn, such as `0-2+5` · where interrupts are bound, too · where others need those CPUs, *locked*",
		locked: changesThreads, try: words("0")},
}

// Why an engine that waits parked can't use a setting.
const (
	changesThreads = "they change threads"
	sleepsOnPoller = "they sleep on Go's poller"
)

func words(s string) []string { return strings.Fields(s) }

// fixedBytes is the default of FixedBytes.
const fixedBytes = 1 << 20

func minWaitCompletions(c *Config) int {
	if c.MinWait > 0 {
		return 8
	}
	return 0
}

// within checks a number.
func within(low, high int) check {
	return between(func(*Config) (int, int) { return low, high })
}

// between is within bounds that depend on other settings.
func between(bounds func(c *Config) (low, high int)) check {
	return func(c *Config, s *setting, f *fault.List) {
		v := *s.of(c).(*int)
		low, high := bounds(c)
		f.Add(v < low || v > high, s.field, "is %d: give %d to %d, or 0 for the default", v, low, high)
	}
}

// upTo checks a time in which the kernel counts in units; 0 is off.
func upTo(most, unit time.Duration) check {
	return func(c *Config, s *setting, f *fault.List) {
		v := *s.of(c).(*time.Duration)
		f.Add(v < 0 || v > most, s.field, "is %v: give 0 (off) to %v", v, most)
		f.Add(v > 0 && v < unit, s.field, "is %v: the kernel counts in microseconds, give 1µs or more", v)
	}
}

func checkBuffers(c *Config, s *setting, f *fault.List) {
	within(1, buffersMax)(c, s, f)
	f.Add(c.Buffers > 0 && c.Buffers&(c.Buffers-1) != 0, s.field, "is %d: give a power of two", c.Buffers)
	bytes := int64(c.Buffers) * int64(c.BufferBytes)
	f.Add(c.Buffers <= buffersMax && c.BufferBytes <= 1<<20 && bytes > bufferBytesMax,
		s.field, "is %d, times BufferBytes, %d, more than 1 GiB an engine: lower one of them", c.Buffers, c.BufferBytes)
}

func checkSQPoll(c *Config, s *setting, f *fault.List) {
	f.Add(c.SQPoll < 0 || c.SQPoll > 10*time.Second || c.SQPoll > 0 && c.SQPoll < time.Millisecond,
		s.field, "is %v: the kernel counts in milliseconds, give 0 (off) or 1ms to 10s", c.SQPoll)
}

func checkZeroCopy(c *Config, s *setting, f *fault.List) {
	f.Add(c.ZeroCopyBytes < 0 || c.ZeroCopyBytes > 1<<30, s.field, "is %d: give 0 (never) to 1 GiB", c.ZeroCopyBytes)
	f.Add(c.ZeroCopyBytes > c.SendBytesMax,
		s.field, "is %d, and no send is larger than SendBytesMax, %d: change one of them", c.ZeroCopyBytes, c.SendBytesMax)
}

func checkMinWaitCompletions(c *Config, s *setting, f *fault.List) {
	f.Add(c.MinWait > 0 && (c.MinWaitCompletions < 2 || c.MinWaitCompletions > 4096),
		s.field, "is %d: give 2 to 4096, or 0 for the default", c.MinWaitCompletions)
}

func checkFixedBytes(c *Config, s *setting, f *fault.List) {
	least, page := 64<<10, os.Getpagesize()
	if c.Recv == RecvFixedMode {
		least = max(least, c.BufferBytes)
	}
	f.Add(c.FixedBytes < least || c.FixedBytes > 1<<30,
		s.field, "is %d: give %d to 1 GiB (the limit of a registered buffer), or 0 for the default", c.FixedBytes, least)
	f.Add(c.FixedBytes%page != 0, s.field, "is %d: give a multiple of %d, the page", c.FixedBytes, page)
	f.Add(c.Recv == RecvFixedMode && c.FixedBytes/max(c.BufferBytes, 1) > buffersMax,
		s.field, "is %d, more than %d buffers of %d: change one of them", c.FixedBytes, buffersMax, c.BufferBytes)
}

// What follows are the combinations that the kernel refuses, or that do nothing: each
// says why, "" where there is nothing to say.

func excludesDeferTaskrun(c *Config) string {
	return sayIf(c.DeferTaskrun == On && c.SingleIssuer == Off,
		"is On and SingleIssuer Off: the kernel defers work only for a single issuer; change one of them")
}

func excludesTaskrunFlag(c *Config) string {
	return sayIf(c.TaskrunFlag == On && c.CoopTaskrun == Off && (c.DeferTaskrun == Off || c.SingleIssuer == Off),
		"is On without CoopTaskrun and DeferTaskrun: the kernel has nothing to flag; allow one of them")
}

func excludesSQPoll(c *Config) string {
	return sayIf(c.SQPoll > 0 && (c.CoopTaskrun == On || c.TaskrunFlag == On || c.DeferTaskrun == On),
		"is "+c.SQPoll.String()+" with CoopTaskrun, TaskrunFlag or DeferTaskrun On: the kernel's thread submits, so there is nothing to hold back on the engine's; leave them at auto")
}

func excludesSQPollCPUs(c *Config) string {
	return sayIf(len(c.SQPollCPUs) > 0 && c.SQPoll == 0, "without SQPoll does nothing: set SQPoll, or leave both")
}

func excludesBundles(c *Config) string {
	return sayIf(c.Bundles && c.Incremental,
		"and Incremental are both set: the kernel does not say which part of which buffer a bundle fills; choose one")
}

func excludesZeroCopyFixed(c *Config) string {
	return sayIf(c.ZeroCopyFixed && c.ZeroCopyBytes == 0, "without ZeroCopyBytes does nothing: set ZeroCopyBytes, or leave both")
}

func excludesFixedBytes(c *Config) string {
	return sayIf(c.FixedBytes != fixedBytes && !c.needsFixed(),
		`without Recv or Send "`+SendFixedMode+`" or ZeroCopyFixed does nothing: set one of them, or leave it out`)
}

func excludesQuietWait(c *Config) string {
	return sayIf(c.QuietWait == On && c.MinWait > 0, "is On with MinWait, which waits longer than is good unsaid: leave it at auto")
}

func excludesBusyPoll(c *Config) string {
	return sayIf(c.BusyPoll > 0 && !c.BusyPollForced && runtime.NumCPU() <= c.BusyPollFreeCPUs,
		"is "+c.BusyPoll.String()+" on "+strconv.Itoa(runtime.NumCPU())+" CPUs: it would take the CPU that the answer needs; set BusyPollForced to try nevertheless")
}

func excludesBusyPollForced(c *Config) string {
	return sayIf(c.BusyPollForced && c.BusyPoll == 0, "without BusyPoll does nothing: set BusyPoll, or leave both")
}

func excludesMinWaitCompletions(c *Config) string {
	return sayIf(c.MinWaitCompletions != 0 && c.MinWait == 0, "without MinWait does nothing: set MinWait, or leave both")
}

func sayIf(so bool, text string) string {
	if so {
		return text
	}
	return ""
}
