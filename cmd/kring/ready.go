package main

import (
	"context"
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
	Side    sideFlags     `embed:""`
	Live    bool          `help:"Ask whether the process answers (/healthz), and not whether it serves (/readyz)."`
	Timeout time.Duration `placeholder:"DURATION" default:"3s" help:"How long to wait for the answer. Default: ${default}."`
}

// Help says what it is for.
func (readyCmd) Help() string {
	return "Exit status: 0 if the server serves, 1 if it does not: it is starting, draining, or not there. It prints the answer."
}

// Run asks once.
func (c readyCmd) Run(p process) error {
	network, address := "tcp", c.Side.HTTP
	if path, unix := engine.UnixPath(address); unix {
		network, address = "unix", path
	} else if _, _, err := net.SplitHostPort(address); err != nil {
		return usageError{fmt.Errorf("--http %s: %w; give HOST:PORT or unix:PATH", address, err)}
	}
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	client := http.Client{Timeout: c.Timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address) // of an address that stands for all it takes this machine's own
	}}}
	answer, err := client.Get("http://localhost" + path) // a name that the side door always answers to
	if err != nil {
		return c.Side.notThere(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1024))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("--http %s: %s", c.Side.HTTP, strings.TrimSpace(string(text)))
	}
	_, err = p.stdout.Write(text)
	return err
}
