package servertest

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"kring"
	"kring/engine"
)

// Client is a connection that speaks in frames. Its methods fail the test. Every Read and
// Write has Deadline, however long the connection has been there.
type Client struct {
	net.Conn
	t testing.TB
}

// Read is that of the connection.
func (c *Client) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(Deadline)) // fails if it is closed, as Read does
	return c.Conn.Read(b)
}

// Write is that of the connection.
func (c *Client) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(Deadline))
	return c.Conn.Write(b)
}

// Dial connects to the first listener of s, for the length of the test.
func Dial(t testing.TB, s *kring.Server) *Client {
	t.Helper()
	return DialTo(t, s.Listeners()[0].Address)
}

// DialTo connects to an address, for the length of the test.
func DialTo(t testing.TB, address string) *Client {
	t.Helper()
	return DialWith(t, &net.Dialer{}, address)
}

// DialWith connects to an address with d, for the length of the test.
func DialWith(t testing.TB, d *net.Dialer, address string) *Client {
	t.Helper()
	network := "tcp"
	if path, ok := engine.UnixPath(address); ok {
		network, address = "unix", path
	}
	c, err := d.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return On(t, c)
}

// On speaks over a connection that there is, and closes it at the end of the test.
func On(t testing.TB, c net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(Deadline)); err != nil {
		t.Fatal(err)
	}
	return &Client{c, t}
}

// Send writes one frame for each payload, in one piece.
func (c *Client) Send(payloads ...string) {
	c.t.Helper()
	var all []byte
	for _, p := range payloads {
		all = append(all, Frame([]byte(p))...)
	}
	if _, err := c.Write(all); err != nil {
		c.t.Fatal(err)
	}
}

// Receive reads the next frame's payload.
func (c *Client) Receive() string {
	c.t.Helper()
	payload, err := ReadFrame(c)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(payload)
}

// Ask sends a frame and demands the same payload back.
func (c *Client) Ask(payload, want string) {
	c.t.Helper()
	c.Send(payload)
	if got := c.Receive(); got != want {
		c.t.Fatalf("answer %.100q, want %.100q", got, want)
	}
}

// AwaitClose demands that the connection ends without another byte.
func (c *Client) AwaitClose() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	if timeout, ok := err.(net.Error); n > 0 || ok && timeout.Timeout() {
		c.t.Fatalf("the connection did not end: %d bytes, %v", n, err)
	}
}

// Reset ends the connection with an RST.
func (c *Client) Reset() {
	c.t.Helper()
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		c.t.Fatal(err)
	}
	_ = c.Close()
}

// Frame puts the size in front of a payload.
func Frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// ReadFrame reads one frame and returns its payload.
func ReadFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	payload := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, payload)
	return payload, err
}
