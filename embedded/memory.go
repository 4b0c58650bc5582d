package embedded

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/cgroup"
	"kring/kafka"
)

const (
	// memoryShare is which part of the machine's memory, or of the cgroup's,
	// records may take without a data directory: kfake's files grow by
	// doubling, and Go's collector lets garbage pile up beside them.
	memoryShare = 4
	// memoryDefault is the bound where the memory of the machine is unknown.
	memoryDefault = 1 << 30
	// memoryAskInterval is how often kfake is asked for what it holds, while that
	// is too much.
	memoryAskInterval = 50 * time.Millisecond
	// memorySayInterval is how often a refusal is logged.
	memorySayInterval = time.Minute
)

// memoryLog bounds the records that a cluster without a data directory keeps.
// The zero value bounds nothing.
type memoryLog struct {
	max    int64        // bytes; 0: no bound
	used   atomic.Int64 // bytes; what kfake said last, and what was let in since
	asking sync.Mutex
	asked  time.Time    // guarded by asking; when kfake was asked last
	held   int64        // guarded by asking; what kfake said last
	said   atomic.Int64 // nanoseconds since 1970; when a refusal was logged last
}

// memoryFull says whether n more bytes of records are too many, and counts them if
// not. What was counted and then refused, or deleted since, is found out when the
// bound seems to be reached: then kfake is asked.
func (c *Cluster) memoryFull(n int) bool {
	m := &c.memory
	if m.max == 0 || m.take(n) {
		return false
	}
	c.askMemory(int64(n))
	if m.take(n) {
		return false
	}
	now := time.Now().UnixNano()
	if said := m.said.Load(); now-said >= int64(memorySayInterval) && m.said.CompareAndSwap(said, now) {
		c.log.Error("records are refused: the memory for them is full; delete topics or records, raise MemoryLogBytesMax (--memory-log-bytes-max), or keep them in a data directory",
			"bytes", m.used.Load(), "bytes_max", m.max)
	}
	return true
}

// take counts n bytes, unless they are too many.
func (m *memoryLog) take(n int) bool {
	if m.used.Add(int64(n)) <= m.max {
		return true
	}
	m.used.Add(-int64(n))
	return false
}

// askMemory sets used to what kfake holds, unless it said just now that n more are
// too many. It blocks while somebody else does it.
func (c *Cluster) askMemory(n int64) {
	m := &c.memory
	m.asking.Lock()
	defer m.asking.Unlock()
	if m.held+n > m.max && time.Since(m.asked) < memoryAskInterval {
		return
	}
	if held, err := c.held(); err != nil {
		c.log.Debug("embedded: what is held in memory is unknown", "error", err)
	} else {
		m.held = held
		m.used.Store(held)
	}
	m.asked = time.Now()
}

// held asks kfake how many bytes of records it has.
func (c *Cluster) held() (int64, error) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 1
	resp, err := c.inside.ask(req)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, d := range resp.(*kmsg.DescribeLogDirsResponse).Dirs {
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				total += p.Size
			}
		}
	}
	return total, nil
}

// memoryFor is an error when the records of a Produce request do not fit. The client
// gets the error of a broker whose disk is full: it is retriable, because retention
// or a deletion may make room, and a producer gives up after its delivery timeout.
func (c *Cluster) memoryFor(q kafka.APIRequest) error {
	if kmsg.Key(q.Header.Key) != kmsg.Produce || !c.memoryFull(len(q.Body)) {
		return nil
	}
	return fmt.Errorf("the memory for records is full (%d bytes): delete topics or records, or give the broker more", c.memory.max)
}

// machineMemory is how many bytes this process may use at most: the smallest of the
// machine's memory and the limits of its cgroups; 0 if nothing says.
func machineMemory() int64 {
	files := os.DirFS("/")
	machine, limit := cgroup.MachineMemory(files), cgroup.MemoryLimit(files)
	if limit > 0 && (machine == 0 || limit < machine) {
		return limit
	}
	return machine
}
