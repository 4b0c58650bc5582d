package contestant

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"kring/bench/floors"
)

// Site is where contestants are built and started.
type Site struct {
	// Self is the program to start again for this module's own servers.
	Self string
	// Root is the module's folder, "" when its sources are not at hand.
	Root string
	// ServerCPUs are the processors that servers are pinned to; none: all.
	ServerCPUs []int

	dir      string
	binaries map[string]string
	peers    string
	peersErr error
	// Order: the first peer builds the module of all.
	peersBuilt bool
}

// NewSite makes a place for the binaries; Close removes it.
func NewSite(root string, serverCPUs []int) (*Site, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("contestant: finding this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "kring-bench-")
	if err != nil {
		return nil, fmt.Errorf("contestant: %w", err)
	}
	return &Site{Self: self, Root: root, ServerCPUs: serverCPUs, dir: dir, binaries: map[string]string{}}, nil
}

// Close removes what was built.
func (s *Site) Close() error { return os.RemoveAll(s.dir) }

// Absent says what a contestant lacks.
type Absent struct{ Lacks, Remedy string }

func (a *Absent) Error() string { return a.Lacks + ": " + a.Remedy }

// cCompiler is the path of the C compiler, "" if there is none.
func cCompiler() string {
	for _, candidate := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if candidate == "" {
			continue
		}
		if p, err := exec.LookPath(candidate); err == nil {
			return p
		}
	}
	return ""
}

// didNotCompile is what is said of a floor that a compiler refused.
const didNotCompile = "did not compile"

// compile builds a floor with the C compiler that is there. libraries are the flags of what it is
// linked with.
func (s *Site) compile(name, source string, libraries ...string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", &Absent{"needs Linux", "run it there"}
	}
	cc := cCompiler()
	if cc == "" {
		return "", &Absent{"needs a C compiler", "install one (apt-get install gcc libc6-dev) or set CC"}
	}
	src, err := os.MkdirTemp(s.dir, "floors-")
	if err == nil {
		err = os.CopyFS(src, floors.Sources)
	}
	if err != nil {
		return "", fmt.Errorf("contestant: %w", err)
	}
	out := filepath.Join(s.dir, name)
	cmd := exec.Command(cc, append([]string{"-O2", "-march=native", "-std=gnu11", "-Wall", "-o", out, filepath.Join(src, source)}, libraries...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		if len(libraries) > 0 {
			return "", &Absent{didNotCompile, firstLine(string(text)) + " (OpenSSL 3 and its headers: apt-get install libssl-dev)"}
		}
		return "", &Absent{didNotCompile, firstLine(string(text)) + " (kernel headers of 6.1 or later: apt-get install linux-libc-dev)"}
	}
	return out, nil
}

// buildPeers builds the module of the other frameworks, once.
func (s *Site) buildPeers() (string, error) {
	if s.peersBuilt {
		return s.peers, s.peersErr
	}
	s.peersBuilt = true
	s.peers, s.peersErr = s.buildPeersOnce()
	return s.peers, s.peersErr
}

func (s *Site) buildPeersOnce() (string, error) {
	const remedy = "run from a checkout, with access to the modules: (cd bench/peers && go build .)"
	if s.Root == "" {
		return "", &Absent{"needs the sources of bench/peers", remedy}
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", &Absent{"needs the go command", remedy}
	}
	out := filepath.Join(s.dir, "peers"+exeSuffix())
	cmd := exec.Command(goTool, "build", "-o", out, ".")
	cmd.Dir = filepath.Join(s.Root, "bench", "peers")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", &Absent{"did not build", firstLine(string(text)) + ": " + remedy}
	}
	return out, nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// FindRoot looks from the working directory upwards for the sources of this
// module; "" when they are not there.
func FindRoot() string {
	dir, err := os.Getwd()
	for err == nil {
		text, readErr := os.ReadFile(filepath.Join(dir, "go.mod"))
		if readErr == nil && strings.HasPrefix(string(text), "module kring\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir || readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
			return ""
		}
		dir = parent
	}
	return ""
}
