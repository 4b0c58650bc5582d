package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"kring/bench/contestant"
	"kring/bench/load"
)

// Pass is what a run was for.
type Pass string

// The passes.
const (
	Measure  Pass = "measure"
	Capacity Pass = "capacity" // finds the rate for an open loop
	Syscalls Pass = "syscalls" // counts system calls, and is slowed by it
)

// Record is one run, one line of the raw results.
type Record struct {
	Type       string `json:"type"` // "run"
	Scenario   string `json:"scenario"`
	Contestant string `json:"contestant"`
	Round      int    `json:"round"`
	Pass       Pass   `json:"pass"`

	Load   *load.Result      `json:"load"`
	Server contestant.Sample `json:"server"` // inside the window
	// Asked is where the asked rate comes from; nil in a closed loop.
	Asked *Asked `json:"asked,omitempty"`
	// Idle connections were held by others beside the generator's; IdleBytes is
	// by how much the server's resident memory grew while they came.
	Idle      int   `json:"idle,omitempty"`
	IdleBytes int64 `json:"idle_bytes,omitempty"`
	// ServerBusy is the server's share of the processors it was given.
	ServerBusy float64 `json:"server_busy"`
	// OtherCPU is how many processors' worth of time went to neither server
	// nor generator, or was stolen by the machine below.
	OtherCPU float64        `json:"other_cpu"`
	Own      contestant.Own `json:"own,omitempty"` // what the server counted inside the window
	Syscalls uint64         `json:"syscalls,omitempty"`

	// Invalid says why the run does not count; Note what else is to be known.
	Invalid []string `json:"invalid,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// Valid says whether the run counts.
func (r *Record) Valid() bool { return len(r.Invalid) == 0 && r.Load != nil }

// heldBack says that nothing speaks against the run but that its generator was
// the limit: what a closed loop reached is then the least that the server can.
func (r *Record) heldBack() bool {
	return r.Load != nil && r.Load.Bound && len(r.Invalid) == 1 && !r.Load.Config.IsOpen()
}

// serverSaturated is the share of its processors from which a server is taken
// to be at its own limit.
const serverSaturated = 0.95

// occupied is the share of its processors that the server used, or waited for while
// other work had them: the rest is time in which it had nothing to do.
func (r *Record) occupied() float64 {
	waited := 0.0
	if r.Load.Window > 0 {
		waited = r.Server.WaitedSeconds / r.Load.Window.Seconds()
	}
	return r.ServerBusy + min(waited, r.OtherCPU) // its own threads wait for each other, too
}

// judge takes over what spoiled the load; a generator without time to spare
// did not hold back a server without time to spare.
func (r *Record) judge() {
	r.Invalid = r.Load.Invalid
	if r.heldBack() && r.occupied() >= serverSaturated {
		r.Note = "server and generator were both saturated"
		r.Invalid = nil
	}
}

// perRequest divides by what was answered inside the window.
func (r *Record) perRequest(v float64) float64 {
	if r.Load.Completed == 0 {
		return 0
	}
	return v / float64(r.Load.Completed)
}

// CPUMicros is the server's processor time per request.
func (r *Record) CPUMicros() float64 { return r.perRequest(r.Server.CPUSeconds() * 1e6) }

// store keeps the raw results.
type store struct {
	base  string // of the files' names
	lines *os.File
	hdr   *os.File
	log   *hdrhistogram.HistogramLogWriter
}

func openStore(dir string, env *Environment) (*store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("compare: --out: %w", err)
	}
	s := &store{base: filepath.Join(dir, env.Started.UTC().Format("20060102T150405Z"))}
	var err error
	if s.lines, err = os.Create(s.base + ".jsonl"); err == nil {
		s.hdr, err = os.Create(s.base + ".hlog")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("compare: --out: %w", err)
	}
	s.log = hdrhistogram.NewHistogramLogWriter(s.hdr)
	for _, err := range []error{
		s.log.OutputLogFormatVersion(), s.log.OutputStartTime(env.Started.UnixMilli()), s.log.OutputLegend(), s.line(env),
	} {
		if err != nil {
			s.close()
			return nil, fmt.Errorf("compare: %w", err)
		}
	}
	return s, nil
}

func (s *store) line(v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = s.lines.Write(append(text, '\n'))
	}
	return err
}

// add writes a run: its line, and its histogram under a tag of its own.
func (s *store) add(r *Record) error {
	if err := s.line(r); err != nil {
		return fmt.Errorf("compare: keeping a result: %w", err)
	}
	if r.Load == nil || r.Pass != Measure {
		return nil
	}
	h, err := load.Histogram(r.Load.HDR)
	if err != nil {
		return err
	}
	h.SetTag(tagged.Replace(r.Scenario + "/" + r.Contestant))
	h.SetStartTimeMs(r.Load.Started.UnixMilli())
	h.SetEndTimeMs(r.Load.Started.Add(r.Load.Config.WarmUp + r.Load.Window).UnixMilli())
	return s.log.OutputIntervalHistogram(h)
}

// tagged makes a tag: the format of HDR logs allows neither commas nor spaces.
var tagged = strings.NewReplacer(", ", "-", ": ", "/", " ", "-", ",", "-")

func (s *store) close() {
	for _, f := range []*os.File{s.lines, s.hdr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Results are the records of one comparison and where they were made.
type Results struct {
	Env     Environment
	Records []*Record
}

// Read reads raw results back.
func Read(r io.Reader) (*Results, error) {
	res := &Results{}
	for dec := json.NewDecoder(r); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			return res, nil
		} else if err != nil {
			return nil, fmt.Errorf("compare: reading results: %w", err)
		}
		var kind struct {
			Type string `json:"type"`
		}
		rec := &Record{}
		err := json.Unmarshal(raw, &kind)
		switch {
		case err != nil:
		case kind.Type == "environment":
			err = json.Unmarshal(raw, &res.Env)
		case kind.Type == "run":
			if err = json.Unmarshal(raw, rec); err == nil {
				res.Records = append(res.Records, rec)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("compare: reading results: %w", err)
		}
	}
}
