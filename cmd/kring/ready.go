package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"kring/engine"
)

// readyCmd is `kring ready`: what a container that has no curl asks as its health check.
type readyCmd struct {
	HTTP    string        `name:"http" placeholder:"ADDRESS" default:"127.0.0.1:9644" help:"Address of the server's HTTP side door, as its --http says: HOST:PORT or unix:PATH. Default: ${default}."`
	Live    bool          `help:"Ask whether the process answers (/healthz), and not whether it serves (/readyz)."`
	Timeout time.Duration `placeholder:"DURATION" default:"3s" help:"How long to wait for the answer. Default: ${default}."`
}

// Help says what it is for.
func (readyCmd) Help() string {
	return "Exit status: 0 if the server serves, 1 if it does not: it is starting, draining, or not there. It prints the answer."
}

// Run asks once.
func (c readyCmd) Run(p process) error {
	address, network := c.HTTP, "tcp"
	if path, ok := engine.UnixPath(c.HTTP); ok {
		address, network = path, "unix"
	} else if host, port, err := net.SplitHostPort(c.HTTP); err != nil {
		return usageError{fmt.Errorf("--http %s: %w; give HOST:PORT or unix:PATH", c.HTTP, err)}
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port) // it listens everywhere
	}
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	client := http.Client{Timeout: c.Timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	answer, err := client.Get("http://localhost" + path) // a name that the side door always answers to
	if err != nil {
		return fmt.Errorf("--http %s: %w", c.HTTP, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("--http %s: %s", c.HTTP, strings.TrimSpace(string(text)))
	}
	_, err = p.stdout.Write(text)
	return err
}
