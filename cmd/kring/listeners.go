package main

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"kring"
	"kring/engine"
)

// socketFlags are socket options of all listeners, and settings of single listeners.
type socketFlags struct {
	Backlog            int           `group:"network" placeholder:"N" help:"Connections that wait in the kernel to be accepted [socket.listen.backlog.size]; net.core.somaxconn bounds it. Default: 1024."`
	SendBufferBytes    size          `group:"network" placeholder:"BYTES" help:"SO_SNDBUF of connections [socket.send.buffer.bytes]. Default: the system's own sizing."`
	ReceiveBufferBytes size          `group:"network" placeholder:"BYTES" help:"SO_RCVBUF of connections [socket.receive.buffer.bytes]. Default: the system's own sizing."`
	KeepAlive          time.Duration `group:"network" placeholder:"DURATION" help:"How long a connection may be silent before TCP probes the peer. Negative: never. Default: 2m."`
	KeepAliveInterval  time.Duration `group:"network" placeholder:"DURATION" help:"Time between two probes. Default: half of --keep-alive, a minute at most."`
	KeepAliveProbes    int           `group:"network" placeholder:"N" help:"Unanswered probes after which the connection counts as broken. Default: 3."`
	Listener           settingList   `group:"network" placeholder:"NAME.SETTING=VALUE" help:"A setting that differs for one listener [listener.name.<name>.<setting>], such as BROKERS.max-connections=100; repeat for more. Settings: {{listener_settings}}."`

	fromFile  []listenerSetting // of --config; joinFile puts them in front of Listener
	fileNames []string          // of the listeners of --config, if it says them
}

// joinFile puts the settings of the configuration file in front of those of --listener:
// the last one wins. Those of a listener that the file has and --listen has not are for
// another day: the command line gives other listeners.
func (c *serveCmd) joinFile() {
	from := c.Sockets.fromFile
	if len(c.Sockets.fileNames) > 0 {
		from = slices.DeleteFunc(slices.Clone(from), func(s listenerSetting) bool {
			return !slices.ContainsFunc(c.listeners(), func(l kring.ListenerConfig) bool { return l.Name == s.listener })
		})
	}
	c.Sockets.Listener, c.Sockets.fromFile = append(slices.Clip(from), c.Sockets.Listener...), nil
}

// listenerSetting is a --listener.
type listenerSetting struct{ listener, setting, value string }

// settingList is every --listener, in their order.
type settingList []listenerSetting

// Decode is kong's. One flag, or one variable of the environment, may have several settings
// with commas between them; a comma that no NAME.SETTING= follows belongs to a value.
func (l *settingList) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("NAME.SETTING=VALUE", &text); err != nil {
		return err
	}
	for text != "" {
		one, rest := text, ""
		for at, c := range text {
			if c == ',' && beginsSetting.MatchString(text[at+1:]) {
				one, rest = text[:at], text[at+1:]
				break
			}
		}
		var s listenerSetting
		if err := s.UnmarshalText([]byte(one)); err != nil {
			return err
		}
		*l, text = append(*l, s), rest
	}
	return nil
}

var beginsSetting = regexp.MustCompile(`^[^.,=]*\.[a-z-]+=`)

// UnmarshalText reads NAME.SETTING=VALUE.
func (s *listenerSetting) UnmarshalText(text []byte) error {
	path, value, valued := strings.Cut(string(text), "=")
	listener, setting, ok := strings.Cut(path, ".")
	if !valued || !ok || listener == "" {
		return fmt.Errorf("%q is not NAME.SETTING=VALUE, such as PLAINTEXT_2.max-connections=100", text)
	}
	check, known := programSettings[setting]
	if set, ofServer := listenerSettings[setting]; ofServer {
		check, known = func(value string) error { return set(new(kring.ListenerConfig), value) }, true
	}
	if !known {
		return fmt.Errorf("%q: a listener has no setting %q of its own; give one of %s", path, setting, listenerSettingNames()) // the value may be a password
	}
	if err := check(value); err != nil {
		return fmt.Errorf("%q: %w", path+"="+shownSetting(setting, value), err)
	}
	*s = listenerSetting{listener, setting, value}
	return nil
}

// listenerSettings have the names of the flags for all listeners.
var listenerSettings = map[string]func(l *kring.ListenerConfig, value string) error{
	"priority":              onOff(func(l *kring.ListenerConfig) *bool { return &l.Priority }),
	"socket-mode":           permissions,
	"max-connections":       number(func(l *kring.ListenerConfig) *int { return &l.ConnsMax }),
	"connection-rate":       perSecond(func(l *kring.ListenerConfig) *float64 { return &l.ConnRateMax }),
	"backlog":               number(func(l *kring.ListenerConfig) *int { return &l.Backlog }),
	"send-buffer-bytes":     bytesOf(func(l *kring.ListenerConfig) *int { return &l.Socket.SendBufferBytes }),
	"receive-buffer-bytes":  bytesOf(func(l *kring.ListenerConfig) *int { return &l.Socket.ReceiveBufferBytes }),
	"keep-alive":            duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Socket.KeepAlive }),
	"keep-alive-interval":   duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Socket.KeepAliveInterval }),
	"keep-alive-probes":     number(func(l *kring.ListenerConfig) *int { return &l.Socket.KeepAliveProbes }),
	"pipeline":              number(func(l *kring.ListenerConfig) *int { return &l.Limits.PipelineMax }),
	"max-frame-bytes":       bytesOf(func(l *kring.ListenerConfig) *int { return &l.Limits.FrameBytesMax }),
	"held-bytes":            bytesOf(func(l *kring.ListenerConfig) *int { return &l.Limits.HeldBytesMax }),
	"queued-response-bytes": bytesOf(func(l *kring.ListenerConfig) *int { return &l.Limits.QueuedResponseBytesMax }),
	"idle-timeout":          duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Timeouts.Idle }),
	"write-timeout":         duration(func(l *kring.ListenerConfig) *time.Duration { return &l.Timeouts.Write }),
}

func listenerSettingNames() string {
	names := slices.Collect(maps.Keys(listenerSettings))
	for name := range programSettings {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// permissions reads those of a Unix domain socket's file, in octal.
func permissions(l *kring.ListenerConfig, value string) error {
	n, err := strconv.ParseUint(value, 8, 9)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no octal number such as 0660", value)
	}
	l.SocketMode = fs.FileMode(n)
	return nil
}

type setter = func(l *kring.ListenerConfig, value string) error

func number(field func(*kring.ListenerConfig) *int) setter {
	return func(l *kring.ListenerConfig, value string) (err error) {
		if *field(l), err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q is no whole number", value)
		}
		return nil
	}
}

func bytesOf(field func(*kring.ListenerConfig) *int) setter {
	return func(l *kring.ListenerConfig, value string) error {
		var s size
		err := s.UnmarshalText([]byte(value))
		*field(l) = int(s)
		return err
	}
}

func duration(field func(*kring.ListenerConfig) *time.Duration) setter {
	return func(l *kring.ListenerConfig, value string) (err error) {
		if *field(l), err = time.ParseDuration(value); err != nil {
			return fmt.Errorf("%q is no duration, such as 90s or 10m", value)
		}
		return nil
	}
}

func perSecond(field func(*kring.ListenerConfig) *float64) setter {
	return func(l *kring.ListenerConfig, value string) (err error) {
		if *field(l), err = strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("%q is no number", value)
		}
		return nil
	}
}

func onOff(field func(*kring.ListenerConfig) *bool) setter {
	return func(l *kring.ListenerConfig, value string) error {
		if value != "on" && value != "off" {
			return fmt.Errorf("%q is neither on nor off", value)
		}
		*field(l) = value == "on"
		return nil
	}
}

func (s *socketFlags) apply(cfg *kring.Config) {
	cfg.Conns.Backlog = s.Backlog
	cfg.Socket.SendBufferBytes, cfg.Socket.ReceiveBufferBytes = int(s.SendBufferBytes), int(s.ReceiveBufferBytes)
	cfg.Socket.KeepAlive, cfg.Socket.KeepAliveInterval, cfg.Socket.KeepAliveProbes = s.KeepAlive, s.KeepAliveInterval, s.KeepAliveProbes
}

// listeners are those of --listen, each with what --listener says of it.
func (c *serveCmd) listeners() []kring.ListenerConfig {
	var all []kring.ListenerConfig
	for i := range c.Listen {
		name, address := c.nameOf(i)
		of := kring.ListenerConfig{Name: name, Address: address}
		c.activation.take(&of)
		for _, s := range c.Sockets.Listener {
			if set, ofServer := listenerSettings[s.setting]; ofServer && s.listener == name {
				_ = set(&of, s.value) // UnmarshalText has seen it
			}
		}
		all = append(all, of)
	}
	for _, of := range c.nodeListeners() {
		for _, s := range c.Sockets.Listener {
			if set, ofServer := listenerSettings[s.setting]; ofServer && s.listener == c.like(of.Name) {
				_ = set(&of, s.value)
			}
		}
		all = append(all, of)
	}
	return all
}

// defaultListenerName is the library's.
func defaultListenerName(i int) string {
	if i == 0 {
		return "PLAINTEXT"
	}
	return fmt.Sprintf("PLAINTEXT_%d", i+1)
}

// splitName takes the name off NAME://ADDRESS.
func splitName(listen string) (name, address string) {
	name, address, named := strings.Cut(listen, "://")
	if _, unix := engine.UnixPath(listen); unix || !named {
		return "", listen
	}
	return name, address
}

func (c *serveCmd) validateListeners() (faults []error) {
	for _, l := range c.Listen {
		name, address := splitName(l)
		_, unix := engine.UnixPath(address)
		if _, _, err := splitAddress(address); err != nil && !unix && address != systemdAddress {
			faults = append(faults, fmt.Errorf("--listen %q: %w; give HOST:PORT, such as 127.0.0.1:9092, unix:PATH, or systemd", l, err))
		}
		if name == "" && address != l || strings.ContainsAny(name, ".=:/ ") {
			faults = append(faults, fmt.Errorf("--listen %q: the name %q can't be told apart in --listener; give letters, digits and _", l, name))
		}
	}
	var names []string
	for _, l := range c.listeners() {
		names = append(names, l.Name)
	}
	for _, s := range c.Sockets.Listener {
		if !slices.Contains(names, s.listener) {
			faults = append(faults, fmt.Errorf("--listener %s.%s: there is no such listener; those of --listen are %s", s.listener, s.setting, strings.Join(names, ", ")))
		}
	}
	return faults
}

func (s listenerSetting) String() string { return s.listener + "." + s.setting + "=" + s.value }
