//go:build !linux

package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Supported says whether this system can hand over.
const Supported = false

var errUnsupported = fmt.Errorf("a process can take over from another on Linux only: %w", errors.ErrUnsupported)

// Conn is never there.
type Conn struct{}

// Listen fails.
func Listen(string) (*net.UnixListener, func(), error) { return nil, nil, errUnsupported }

// Own does nothing.
func Own(*net.UnixListener, string) (remove func()) { return func() {} }

// Accept fails.
func Accept(*net.UnixListener) (*Conn, error) { return nil, errUnsupported }

// Dial fails.
func Dial(context.Context, string) (*Conn, error) { return nil, errUnsupported }

// PID is 0.
func (c *Conn) PID() int { return 0 }

// Close does nothing.
func (c *Conn) Close() error { return nil }

// Send fails.
func (c *Conn) Send(*Message, ...int) error { return errUnsupported }

// Receive fails.
func (c *Conn) Receive(time.Time) (*Message, error) { return nil, errUnsupported }

// ReceiveUntil fails.
func (c *Conn) ReceiveUntil(context.Context, time.Time) (*Message, error) {
	return nil, errUnsupported
}

// CloseAll does nothing.
func CloseAll([]int) {}

// Duplicate fails.
func Duplicate(syscall.Conn) (int, error) { return -1, errUnsupported }

// DuplicateFD fails.
func DuplicateFD(int) (int, error) { return -1, errUnsupported }

// NobodyListens is false: it can't be known.
func NobodyListens(error) bool { return false }
