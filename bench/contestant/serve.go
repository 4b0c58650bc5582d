package contestant

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime/metrics"
	"strings"

	"kring"
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
	// TLSCert and TLSKey are PEM files; none: plaintext. PlainToo has two listeners, the first
	// in plaintext; their addresses are told with a comma between them.
	TLSCert, TLSKey string
	PlainToo        bool
	// Handler serves instead of the echo, and Adjust changes kring's Config; nil:
	// neither. Commands are what Serve does on other lines than "stats", each
	// answered with what it gives.
	Handler  kring.Handler
	Adjust   func(*kring.Config)
	Commands map[string]func() Own
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
	return Obey(in, out, func(command string) Own {
		if does := c.Commands[command]; does != nil {
			return does()
		}
		own := runtimeStats()
		s.own(own)
		return own
	})
}

// Obey is the rest of a process's life: it answers lines with numbers until
// there are no more.
func Obey(in io.Reader, out io.Writer, does func(command string) Own) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		text, err := json.Marshal(does(strings.TrimSpace(lines.Text())))
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
