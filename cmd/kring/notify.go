package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// notifier tells the service manager how far the server has come (sd_notify(3)). A nil one,
// without a service manager, tells nobody.
type notifier struct {
	log   *slog.Logger
	conn  *net.UnixConn
	given []string      // the variables, for a process that takes over
	every time.Duration // between two signs of life; 0: nobody waits for them
	once  sync.Once     // closes quit
	quit  chan struct{}
	done  chan struct{} // closed when nothing is sent any more by watch; nil: it was not begun
}

// notifyPatience bounds how long a message may wait for its reader.
const notifyPatience = time.Second

// newNotifier takes the service manager's variables, and unsets them.
func newNotifier(log *slog.Logger) *notifier {
	path, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		log.Warn("the service manager can't be told how far the server has come", "notify_socket", path, "error", err)
		return nil
	}
	n := &notifier{log: log, conn: conn, given: []string{"NOTIFY_SOCKET=" + path}, quit: make(chan struct{})}
	if usec != "" {
		n.given = append(n.given, "WATCHDOG_USEC="+usec)
	}
	if pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if limit, err := strconv.ParseInt(usec, 10, 64); err == nil && limit > 0 {
			n.every = max(time.Duration(limit)*time.Microsecond/2, time.Millisecond)
		}
	}
	return n
}

// say sends assignments such as READY=1.
func (n *notifier) say(assignments ...string) {
	if n == nil {
		return
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(notifyPatience))
	if _, err := n.conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		n.log.Warn("the service manager was not told", "what", assignments[0], "error", err)
	}
}

func (n *notifier) ready(status string) { n.say("READY=1", "STATUS="+status) }

// reloading has the service manager know that reread is under way.
func (n *notifier) reloading(reread func()) {
	if n == nil {
		reread()
		return
	}
	n.say(reloadingNow()...)
	reread()
	n.say("READY=1")
}

// reloadingNow says that something is under way, which READY=1 ends.
func reloadingNow() []string {
	says := []string{"RELOADING=1"}
	if now, ok := monotonicMicros(); ok { // Type=notify-reload asks for it
		says = append(says, fmt.Sprintf("MONOTONIC_USEC=%d", now))
	}
	return says
}

// environ is for a process that takes over.
func (n *notifier) environ() []string {
	if n == nil {
		return nil
	}
	return n.given
}

// watch sends a sign of life as often as the service manager asks for one, as long as alive
// says that there is something to tell.
func (n *notifier) watch(alive func(context.Context) error) {
	if n == nil || n.every == 0 {
		return
	}
	n.done = make(chan struct{})
	go func() {
		defer close(n.done)
		tick := time.NewTicker(n.every)
		defer tick.Stop()
		for {
			ctx, cancel := context.WithTimeout(context.Background(), n.every)
			err := alive(ctx)
			cancel()
			if err == nil {
				n.say("WATCHDOG=1")
			} else {
				n.log.Error("the service manager is given no sign of life", "error", err)
			}
			select {
			case <-n.quit:
				return
			case <-tick.C:
			}
		}
	}()
}

// stop sends no sign of life any more.
func (n *notifier) stop() {
	if n != nil {
		n.once.Do(func() { close(n.quit) })
	}
}

// end sends nothing any more.
func (n *notifier) end() {
	if n == nil {
		return
	}
	n.stop()
	if n.done != nil {
		<-n.done
	}
	_ = n.conn.Close()
}
