package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"kring"
)

// systemdAddress is the ADDRESS of a --listen whose socket systemd opens (systemd.socket(5)).
const systemdAddress = "systemd"

// passedSocket is a listening socket that the service manager opened for this process.
type passedSocket struct {
	name     string // FileDescriptorName= of the unit; by default the unit's own
	fd       int
	listener net.Listener
}

func (s passedSocket) String() string {
	return fmt.Sprintf("the socket that systemd passed as descriptor %d (FileDescriptorName=%s)", s.fd, s.name)
}

// activation is what systemd gives a serveCmd.
type activation struct {
	listenGiven bool                    // --listen is not its default
	sockets     map[string]net.Listener // by listener
	inherited   map[string]string       // where those of the process before are bound, by listener
}

// firstPassedFD is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstPassedFD = 3

// takePassed takes the sockets of LISTEN_FDS. They are this process's if LISTEN_PID says so.
// It unsets the variables: they are for nobody else.
func takePassed() ([]passedSocket, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		_ = os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > passedMax {
		return nil, fmt.Errorf("LISTEN_FDS %q: it is no number from 0 to %d; it is for systemd to set", count, passedMax)
	}
	var named []string
	if names != "" {
		named = strings.Split(names, ":")
	}
	if named != nil && len(named) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES %q: it has %d names for the %d sockets of LISTEN_FDS; it is for systemd to set", names, len(named), n)
	}
	all := make([]passedSocket, 0, n)
	var faults []error
	for i := range n {
		s := passedSocket{name: "unknown", fd: firstPassedFD + i} // as sd_listen_fds_with_names calls it
		if named != nil {
			s.name = named[i]
		}
		if err := s.open(); err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, s)
	}
	if len(faults) > 0 {
		closePassed(all)
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// passedMax bounds how many sockets systemd passes; nobody has so many listeners.
const passedMax = 1024

func closePassed(all []passedSocket) {
	for _, s := range all {
		_ = s.listener.Close()
	}
}

// open makes a listener of the descriptor, and closes that.
func (s *passedSocket) open() error {
	f := os.NewFile(uintptr(s.fd), s.name)
	defer f.Close()
	if why := unfit(s.fd); why != "" {
		return fmt.Errorf("%v %s", s, why)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("%v is no socket that can be served on: %w; give ListenStream= an address or a path", s, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the file is systemd's
	}
	s.listener = l
	return nil
}

// BeforeApply is kong's: whether --listen is given, here or in the environment.
func (c *serveCmd) BeforeApply(ctx *kong.Context) error {
	c.activation.listenGiven = slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == "listen" })
	return nil
}

// adopt gives the sockets to listeners: to that of the same name, else in their order.
// Without --listen each of them makes a listener.
func (c *serveCmd) adopt(passed []passedSocket, bound func(listener string) string) error {
	if len(passed) > 0 && !c.activation.listenGiven {
		c.Listen = listenersFor(passed)
	}
	c.activation.sockets, c.activation.inherited = map[string]net.Listener{}, map[string]string{}
	for i := range c.Listen {
		if name, address := c.nameOf(i); address == systemdAddress && len(passed) == 0 {
			c.activation.inherited[name] = bound(name)
		}
	}
	faults := c.match(passed)
	if len(faults) == 0 {
		faults = c.validateAdvertise() // it is known now which are Unix domain sockets
	}
	if len(faults) > 0 {
		closePassed(passed)
	}
	return errors.Join(faults...)
}

// inherit has settings that were read again go on with the sockets of the start.
func (c *serveCmd) inherit(start *serveCmd) {
	c.activation.sockets, c.activation.inherited = start.activation.sockets, start.activation.inherited
	if !c.activation.listenGiven && len(c.activation.sockets) > 0 {
		c.Listen = start.Listen
	}
}

func (c *serveCmd) match(passed []passedSocket) (faults []error) {
	waiting := map[string]bool{} // listeners that have no socket yet
	var order []string
	for i, listen := range c.Listen {
		name, address := c.nameOf(i)
		if waiting[name] = address == systemdAddress && c.activation.inherited[name] == ""; waiting[name] {
			order = append(order, name)
		}
		for _, s := range passed {
			if s.name == name && address != systemdAddress {
				faults = append(faults, fmt.Errorf("--listen %s: %v is of the same name, and a listener has one address; leave out one of the two: give --listen %s://%s, or rename the socket", listen, s, name, systemdAddress))
			}
		}
	}
	if len(faults) > 0 {
		return faults
	}
	give := func(s passedSocket, name string) {
		c.activation.sockets[name], waiting[name] = s.listener, false
	}
	var left []passedSocket
	for _, s := range passed {
		if waiting[s.name] {
			give(s, s.name)
		} else {
			left = append(left, s)
		}
	}
	for _, name := range order {
		switch {
		case !waiting[name]:
		case len(left) > 0:
			give(left[0], name)
			left = left[1:]
		default:
			faults = append(faults, fmt.Errorf("--listen %s://%s: systemd passed no socket for it; start the .socket unit and not the .service, with FileDescriptorName=%s there, or give HOST:PORT", name, systemdAddress, name))
		}
	}
	for _, s := range left {
		faults = append(faults, fmt.Errorf("--listen: %v has no listener; add --listen NAME://%s, or take it out of the .socket unit", s, systemdAddress))
	}
	return faults
}

// listenersFor are the --listen of sockets that come without any: their names are those of
// the sockets, where these can be a listener's.
func listenersFor(passed []passedSocket) (all []string) {
	seen := map[string]int{}
	for i, s := range passed {
		name := s.name
		if !listenerNamed.MatchString(name) || name == "unknown" {
			name = defaultListenerName(i)
		}
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s_%d", name, seen[name])
		}
		all = append(all, name+"://"+systemdAddress)
	}
	return all
}

var listenerNamed = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// nameOf takes a --listen apart.
func (c *serveCmd) nameOf(i int) (name, address string) {
	name, address = splitName(c.Listen[i])
	if name == "" {
		name = defaultListenerName(i)
	}
	return name, address
}

// take gives a listener of systemd its socket, once there is one.
func (a *activation) take(l *kring.ListenerConfig) {
	if s := a.sockets[l.Name]; l.Address == systemdAddress && s != nil {
		l.Address, l.Listener = "", s
	}
	if at := a.inherited[l.Name]; l.Address == systemdAddress && at != "" {
		l.Address = at
	}
}

// environ tells the next process which listeners are systemd's, if nothing else does: it gets
// their sockets from this one.
func (a *activation) environ() []string {
	if a.listenGiven {
		return nil
	}
	var all []string
	for name := range a.sockets {
		all = append(all, name+"://"+systemdAddress)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return []string{"KRING_LISTEN=" + strings.Join(all, ",")}
}
