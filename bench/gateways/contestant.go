package gateways

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// Contestant is the broker, or a gateway in front of it.
type Contestant struct {
	Name    string `json:"name"`
	Address string `json:"address"` // of the broker that leads the topics
	PID     int    `json:"pid"`     // of the gateway; 0 for the broker itself
}

// ParseContestant reads NAME=HOST:PORT or NAME=HOST:PORT/PID.
func ParseContestant(text string) (Contestant, error) {
	name, rest, found := strings.Cut(text, "=")
	if !found || name == "" {
		return Contestant{}, fmt.Errorf("contestant %q: NAME=HOST:PORT or NAME=HOST:PORT/PID is wanted", text)
	}
	c := Contestant{Name: name}
	address, pid, isGateway := strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(address); err != nil {
		return Contestant{}, fmt.Errorf("contestant %q: %w: give HOST:PORT", text, err)
	}
	c.Address = address
	if isGateway {
		n, err := strconv.Atoi(pid)
		if err != nil || n <= 0 {
			return Contestant{}, fmt.Errorf("contestant %q: %q is no process id", text, pid)
		}
		c.PID = n
	}
	return c, nil
}

// upstream counts the connections that a process has to port.
func upstream(pid int, port string) (int, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %q: %w", port, err)
	}
	own, err := sockets(pid)
	if err != nil {
		return 0, err
	}
	want := fmt.Sprintf("%04X", n)
	count := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a kernel without IPv6 has no tcp6
		}
		count += established(string(text), want, own)
	}
	return count, nil
}

// sockets are the inodes of a process's sockets.
func sockets(pid int) (map[string]bool, error) {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptors of process %d: %w", pid, err)
	}
	own := map[string]bool{}
	for _, f := range files {
		to, err := os.Readlink(folder + "/" + f.Name())
		if err != nil {
			continue // closed meanwhile
		}
		if inode, found := strings.CutPrefix(to, "socket:["); found {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return own, nil
}

// established counts the connections to a remote port, as the kernel writes it, whose
// inodes are among own.
//
// Kernel: fields of /proc/net/tcp: number, local address, remote address, state (01 is
// ESTABLISHED), queues, timer, retransmits, user, timeout, inode.
func established(table, port string, own map[string]bool) int {
	count := 0
	for line := range strings.SplitSeq(table, "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "01" || !own[f[9]] {
			continue
		}
		if _, remote, _ := strings.Cut(f[2], ":"); remote == port {
			count++
		}
	}
	return count
}
