package broker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Usage is what the system says about a server's process.
type Usage struct {
	RSSBytes    int64
	Descriptors int
	Threads     int
}

// Usage measures the server's process. It needs /proc.
func (b *Broker) Usage() (Usage, error) {
	if b.cmd == nil {
		return Usage{}, fmt.Errorf("%s runs elsewhere: only a server that this test started can be measured", b.Addr)
	}
	proc := fmt.Sprintf("/proc/%d/", b.cmd.Process.Pid)
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		return Usage{}, err
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return Usage{}, err
	}
	rss, err := statusField(string(status), "VmRSS")
	if err != nil {
		return Usage{}, err
	}
	threads, err := statusField(string(status), "Threads")
	if err != nil {
		return Usage{}, err
	}
	return Usage{RSSBytes: rss << 10, Descriptors: len(fds), Threads: int(threads)}, nil
}

func statusField(status, name string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc status has no %s", name)
}
