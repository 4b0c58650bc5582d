package contestant

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// startTimeout bounds how long a server may take until it listens.
const startTimeout = 40 * time.Second

// Process is a running server.
type Process struct {
	Addr string

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	stderr *tail
	mute   bool
	owed   int // answers that did not come in time, and will come before the next one
}

// Start starts the contestant for a shape of load and waits until it listens.
//
// The agreement with a server: its first line of output is "ready" and the
// address; to the line "stats" it may answer with one line of JSON; it ends when its
// standard input does.
func (c *Contestant) Start(site *Site, shape Shape) (*Process, error) {
	if shape.TLS {
		var err error
		if shape.cert, shape.key, err = site.certificate(); err != nil {
			return nil, err
		}
	}
	p, err := StartProcess(c.Name, c.args(site.binaries[c.Name], shape), site.ServerCPUs)
	if err == nil {
		p.mute = c.Mute
	}
	return p, err
}

// StartProcess starts a program of that agreement on the given processors, or
// on all, and waits until it is ready. name is for errors.
func StartProcess(name string, argv []string, cpus []int) (*Process, error) {
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), lines: make(chan string, 16), stderr: &tail{}}
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("contestant: %s: %w", name, err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("contestant: %s: %w", name, err)
	}
	p.stdin = stdin
	if err := StartPinned(p.cmd, cpus); err != nil {
		return nil, fmt.Errorf("contestant: %s: starting: %w", name, err)
	}
	go p.readLines(stdout)
	line, err := p.line(startTimeout)
	addr, ready := strings.CutPrefix(line, "ready ")
	if err == nil && !ready {
		err = fmt.Errorf("its first line is %q", line)
	}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("contestant: %s did not start: %w%s", name, err, p.stderr.said())
	}
	p.Addr = addr
	return p, nil
}

func (p *Process) readLines(r io.Reader) {
	defer close(p.lines)
	for s := bufio.NewScanner(r); s.Scan(); {
		p.lines <- s.Text()
	}
}

func (p *Process) line(limit time.Duration) (string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			return "", io.ErrUnexpectedEOF
		}
		return line, nil
	case <-timer.C:
		return "", fmt.Errorf("no line of output within %v", limit)
	}
}

// PID is the server's process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Own is what a server says of itself: totals since its start, but for names
// that begin with "now_".
type Own map[string]float64

// Since is what happened between two answers.
func (o Own) Since(earlier Own) Own {
	d := Own{}
	for name, v := range o {
		if !strings.HasPrefix(name, "now_") {
			v -= earlier[name]
		}
		d[name] = v
	}
	return d
}

// Own asks the server; nil when it has nothing to say.
func (p *Process) Own() Own {
	if p.mute {
		return nil // to wait for it in vain would leave the load without its generator
	}
	own, err := p.Ask("stats", 2*time.Second)
	if err != nil {
		return nil
	}
	return own
}

// Ask gives the process a line, and waits for the numbers that it answers with,
// one line of JSON. One goroutine at a time.
func (p *Process) Ask(command string, limit time.Duration) (own Own, err error) {
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		return nil, fmt.Errorf("contestant: asking for %s: %w", command, err)
	}
	if err := p.answer(limit, &own); err != nil {
		return nil, fmt.Errorf("contestant: asking for %s: %w", command, err)
	}
	return own, nil
}

// answer reads the answer to the last question, behind those that are still owed.
func (p *Process) answer(limit time.Duration, own *Own) error {
	p.owed++
	for deadline := time.Now().Add(limit); ; {
		line, err := p.line(time.Until(deadline))
		if err != nil {
			return err
		}
		if p.owed--; p.owed == 0 {
			return json.Unmarshal([]byte(line), own)
		}
	}
}

// Pause has the server stand still until Resume; Stop works meanwhile. An error
// where a system has no such thing.
func (p *Process) Pause() error { return signal(p.cmd.Process, false) }

// Resume has it go on.
func (p *Process) Resume() error { return signal(p.cmd.Process, true) }

// stopTimeout bounds how long a server may take to end by itself.
const stopTimeout = 3 * time.Second

// Stop ends the server; one that does not end by itself is killed.
func (p *Process) Stop() { p.stopWithin(stopTimeout) }

func (p *Process) stopWithin(limit time.Duration) {
	_ = p.Resume()
	_ = p.stdin.Close()
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	for range p.lines {
	}
	_ = p.cmd.Wait() // how it ended is no matter
}

// tail keeps the end of what a server wrote to its standard error.
//
// Owner: the goroutine of exec that copies, until Wait; said is called after
// Stop only.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	const kept = 2000
	t.text = append(t.text, b...)
	if len(t.text) > kept {
		t.text = t.text[len(t.text)-kept:]
	}
	return len(b), nil
}

func (t *tail) said() string {
	if len(t.text) == 0 {
		return ""
	}
	return "; it said: " + strings.TrimSpace(string(t.text))
}
