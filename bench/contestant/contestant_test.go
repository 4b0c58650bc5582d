package contestant

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"kring/bench/load"
)

// inProcess runs one of this module's servers here and gives its address.
func inProcess(t *testing.T, c ServeConfig) (addr string, ask func(string) string) {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Serve(c, inR, outW)
		outW.Close()
		done <- err
	}()
	lines := bufio.NewReader(outR)
	t.Cleanup(func() {
		inW.Close()
		go func() { _, _ = io.Copy(io.Discard, lines) }()
		if err := <-done; err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	})
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%+v: no first line: %v", c, err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "ready ")), func(q string) string {
		if _, err := io.WriteString(inW, q+"\n"); err != nil {
			t.Fatal(err)
		}
		a, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func configs(kafka bool) []ServeConfig {
	list := []ServeConfig{{Server: "go-net", Kafka: kafka}}
	for _, engine := range []string{"io_uring", "epoll", "portable"} {
		for _, dispatch := range []string{"inline", "pool"} {
			list = append(list, ServeConfig{Server: "kring", Engine: engine, Dispatch: dispatch, Pipeline: 8, Kafka: kafka})
		}
	}
	return list
}

func brief(addr string) load.Config {
	return load.Config{Address: addr, WarmUp: 20 * time.Millisecond, Duration: 40 * time.Millisecond, DrainTimeout: time.Minute}
}

// clean fails the test unless everything was answered rightly. How fast does
// not matter here.
func clean(t *testing.T, what string, c load.Config) {
	t.Helper()
	r, err := load.Run(c)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if r.Errors.Count() > 0 || r.Total == 0 {
		t.Errorf("%s: %d answers, errors %+v", what, r.Total, r.Errors)
	}
}

var shapes = []struct{ payload, conns, depth int }{
	{-1, 1, 1}, {5, 3, 8}, {128, 20, 8}, {5000, 4, 8}, {20_000, 3, 1}, {300_000, 2, 2},
}

func TestEveryServerEchoesEveryShape(t *testing.T) {
	for _, sc := range configs(false) {
		t.Run(sc.Server+sc.Engine+sc.Dispatch, func(t *testing.T) {
			addr, ask := inProcess(t, sc)
			for _, s := range shapes {
				c := brief(addr)
				c.PayloadBytes, c.Conns, c.Depth = s.payload, s.conns, s.depth
				clean(t, fmt.Sprintf("%+v", s), c)
			}
			var own Own
			if err := json.Unmarshal([]byte(ask("stats")), &own); err != nil || own["allocs"] == 0 {
				t.Errorf("stats: %v, %v", own, err)
			}
		})
	}
}

func TestEveryServerAnswersEveryKafkaKind(t *testing.T) {
	for _, sc := range configs(true) {
		t.Run(sc.Server+sc.Engine+sc.Dispatch, func(t *testing.T) {
			addr, _ := inProcess(t, sc)
			for _, kind := range load.Kinds() {
				if kind == load.Frames {
					continue
				}
				c := brief(addr)
				c.Kind, c.PayloadBytes, c.Conns, c.Depth = kind, 1000, 4, 3
				clean(t, string(kind), c)
			}
		})
	}
}

func TestFloorsEchoEveryShapeAndEndWithTheirInput(t *testing.T) {
	site, err := NewSite("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { site.Close() })
	floors, err := Select(All(), []string{"c-uring", "c-epoll"})
	if err != nil || len(floors) != 2 {
		t.Fatalf("%v, %v", names(floors), err)
	}
	for _, f := range floors {
		var absent *Absent
		if err := f.Prepare(site); errors.As(err, &absent) && absent.Lacks != didNotCompile {
			// lint:ignore skip Prepare has just shown that this is not Linux, or has no C compiler
			t.Skip(absent)
		} else if err != nil {
			t.Fatal(err)
		}
		for _, s := range shapes {
			p, err := f.Start(site, Shape{FrameBytes: max(s.payload, 0), Depth: s.depth})
			if err != nil {
				t.Fatal(err)
			}
			c := brief(p.Addr)
			c.PayloadBytes, c.Conns, c.Depth = s.payload, s.conns, s.depth
			clean(t, fmt.Sprintf("%s %+v", f.Name, s), c)
			if err := errors.Join(p.Pause(), p.Resume()); err != nil {
				t.Error(err)
			}
			if own := p.Own(); len(own) != 0 {
				t.Errorf("%s says of itself %v", f.Name, own)
			}
			if err := p.Pause(); err != nil {
				t.Error(err)
			}
			p.stopWithin(time.Minute) // has it go on first
			if !p.cmd.ProcessState.Exited() {
				t.Errorf("%s had to be killed: %v", f.Name, p.cmd.ProcessState)
			}
		}
	}
}

func TestAServerThatDoesNotStartIsAnErrorWithItsWords(t *testing.T) {
	site, err := NewSite("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { site.Close() })
	c := &Contestant{Name: "broken", args: func(string, Shape) []string { return []string{"go", "no-such-command"} }}
	if _, err := c.Start(site, Shape{}); err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("%v", err)
	}
}

func TestContestantsAreNamedApartAndFoundByPattern(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] || c.About == "" {
			t.Errorf("%q: twice, or without a description", c.Name)
		}
		seen[c.Name] = true
	}
	some, err := Select(All(), []string{"kring-epoll-*", "go-net"})
	if err != nil || len(some) != 5 {
		t.Errorf("%v, %v", names(some), err)
	}
	if _, err := Select(All(), []string{"go-net", "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestASampleGrowsWithTheWorkDone(t *testing.T) {
	before, err := TakeSample(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	var d Sample
	for x := 0; d.CPUSeconds() < 0.05; x++ {
		if time.Now().After(deadline) {
			t.Fatalf("a minute of work are not seen: %+v", d)
		}
		if x%1_000_000 == 0 {
			after, err := TakeSample(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			if d = after.Since(before); after == (Sample{}) {
				return // a system that tells nothing
			}
		}
	}
	if d.RSSBytes < 1<<20 || d.Threads < 1 || d.BusySeconds <= 0 {
		t.Errorf("%+v", d)
	}
}

// TestTheFirstContestantIsToldNothing: it is what a user gets who chose nothing.
func TestTheFirstContestantIsToldNothing(t *testing.T) {
	c := All()[0]
	if argv := strings.Join(c.args("bench", Shape{FrameBytes: 128, Depth: 16}), " "); argv != "bench serve --server kring" || !c.Usual || !c.Quick {
		t.Errorf("%s is started as %q", c.Name, argv)
	}
	cfg, err := (&ServeConfig{Server: "kring", Pipeline: 1}).config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Limits.PipelineMax != 1 || cfg.Engine != "" || cfg.Dispatch.Mode != "" || cfg.Processors.Wait != "" || cfg.Processors.Count != 0 || len(cfg.URing.Changed()) > 0 {
		t.Errorf("it has settings of its own: %+v", cfg)
	}
}

// TestEveryServerEchoesBehindTLS, by records of every size and by both kinds of handshake.
func TestEveryServerEchoesBehindTLS(t *testing.T) {
	site, err := NewSite("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	cert, key, err := site.certificate()
	if err != nil {
		t.Fatal(err)
	}
	behind := func(t *testing.T, addr string) {
		for _, s := range []int{1, 3, 5} {
			s := shapes[s]
			c := brief(addr)
			c.TLS, c.PayloadBytes, c.Conns, c.Depth, c.Verify = true, s.payload, s.conns, s.depth, true
			clean(t, fmt.Sprintf("%+v", s), c)
		}
		for _, kind := range []load.Handshakes{load.FullHandshakes, load.ResumedHandshakes} {
			c := brief(addr)
			c.TLS, c.Handshakes = true, kind
			clean(t, string(kind), c)
		}
	}
	for _, sc := range []ServeConfig{{Server: "go-net"}, {Server: "kring", Engine: "portable", Pipeline: 4}, {Server: "kring", Engine: "epoll", Dispatch: "inline", Pipeline: 4}} {
		t.Run(sc.Server+sc.Engine, func(t *testing.T) {
			sc.TLSCert, sc.TLSKey = cert, key
			addr, _ := inProcess(t, sc)
			behind(t, addr)
		})
	}
	t.Run("c-openssl", func(t *testing.T) {
		c := openSSL()
		var absent *Absent
		if err := c.Prepare(site); errors.As(err, &absent) && (absent.Lacks != didNotCompile || !hasOpenSSL()) {
			// lint:ignore skip this is not Linux, there is no C compiler, or the smallest program with OpenSSL is refused
			t.Skip(absent)
		} else if err != nil {
			t.Fatal(err)
		}
		for _, big := range []int{128, 20_000} {
			p, err := c.Start(site, Shape{TLS: true, FrameBytes: big})
			if err != nil {
				t.Fatal(err)
			}
			behind(t, p.Addr)
			p.stopWithin(time.Minute)
			if !p.cmd.ProcessState.Exited() {
				t.Errorf("it had to be killed: %v", p.cmd.ProcessState)
			}
		}
	})
}

// hasOpenSSL reports whether the smallest program that is linked with OpenSSL can be built here.
func hasOpenSSL() bool {
	cmd := exec.Command(cCompiler(), "-x", "c", "-", "-o", os.DevNull, "-lssl", "-lcrypto")
	cmd.Stdin = strings.NewReader("#include <openssl/ssl.h>\nint main(void) { return SSL_CTX_new(TLS_server_method()) == NULL; }\n")
	return cmd.Run() == nil
}

// TestAFloorSaysWhatItLacks: a library, or Linux, and how to get it.
func TestAFloorSaysWhatItLacks(t *testing.T) {
	site, err := NewSite("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	cc := filepath.Join(t.TempDir(), "cc")
	if err := os.WriteFile(cc, []byte("#!/bin/sh\necho tls.c: openssl/ssl.h: No such file or directory >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", cc)
	err = openSSL().Prepare(site)
	says := []string{"openssl/ssl.h", "apt-get install libssl-dev"}
	if runtime.GOOS != "linux" {
		says = []string{"needs Linux"}
	}
	for _, words := range says {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("it does not say %q: %v", words, err)
		}
	}
}
