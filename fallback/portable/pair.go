package portable

import (
	"net"

	"kring/engine"
)

// Pair connects a client within the process, by net.Pipe.
func (n *Network) Pair() (engine.FD, net.Conn, error) {
	server, client := net.Pipe()
	return n.add(&socket{conn: pipe{server}}), client, nil
}

// pipe is an end of net.Pipe. It holds no bytes back, so what was sent before a close
// has arrived.
type pipe struct{ net.Conn }

// CloseWrite closes both directions: a pipe can't close one of them.
func (p pipe) CloseWrite() error { return p.Close() }
