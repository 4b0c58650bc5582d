package contestant

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime/metrics"
	"strings"
)

// ServeConfig chooses one of this module's servers.
type ServeConfig struct {
	Server   string // "kring" or "go-net"
	Engine   string // kring's, as its Config has them
	Dispatch string
	Wait     string
	Pipeline int  // kring's PipelineMax
	Kafka    bool // the null handler instead of the echo
	Embedded bool // kring's embedded cluster instead of either
	// URing are settings of kring's engine, key=value; BigFrameBytes and
	// HandlerBatch are kring's, 0 for its own.
	URing                       []string
	BigFrameBytes, HandlerBatch int
}

// server is a running one.
type server interface {
	addr() string
	own(Own)
	close()
}

// Serve is a contestant's process: it says where it listens, answers "stats",
// and ends with its input.
func Serve(c ServeConfig, in io.Reader, out io.Writer) error {
	open := map[string]func(ServeConfig) (server, error){"kring": openKring, "go-net": openGoNet}[c.Server]
	if open == nil {
		return fmt.Errorf("contestant: --server %q: choose kring or go-net", c.Server)
	}
	s, err := open(c)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(out, "ready %s\n", s.addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) != "stats" {
			continue
		}
		own := runtimeStats()
		s.own(own)
		text, err := json.Marshal(own)
		if err != nil {
			return fmt.Errorf("contestant: %w", err)
		}
		fmt.Fprintf(out, "%s\n", text)
	}
	return nil
}

// runtimeStats reads Go's own counters; none of them stops the world.
func runtimeStats() Own {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(samples)
	own := Own{}
	for i, name := range []string{"allocs", "alloc_bytes", "gc_cycles", "now_goroutines"} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			own[name] = float64(samples[i].Value.Uint64())
		}
	}
	return own
}
