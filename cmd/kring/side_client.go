package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"kring/engine"
	"kring/internal/top"
)

// sideFlags say which side door a command asks.
type sideFlags struct {
	HTTP string `name:"http" placeholder:"ADDRESS" default:"127.0.0.1:9644" help:"The server's --http: HOST:PORT or unix:PATH. Default: ${default}."`
}

const (
	// sidePatience is how long an answer may take.
	sidePatience = 10 * time.Second
	// sideAnswerMax bounds an answer: 10,000 connections take some 8 MiB.
	sideAnswerMax = 64 << 20
)

// side is a client of a side door.
type side struct {
	address string
	base    string
	client  http.Client
}

// side makes the client.
func (f sideFlags) side() *side {
	s := &side{address: f.HTTP, base: "http://" + f.HTTP, client: http.Client{Timeout: sidePatience}}
	if path, unix := engine.UnixPath(f.HTTP); unix {
		s.base = "http://localhost"
		s.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
	}
	return s
}

// notThere is the error of a request that nobody has answered.
func (f sideFlags) notThere(err error) error {
	err = unwrapURL(err)
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("--http %s: %w; what listens there has not answered in time: it hangs, or is overloaded", f.HTTP, err)
	case errors.As(err, new(*net.OpError)) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--http %s: %w; does kring serve run there with --http?", f.HTTP, err)
	}
	return fmt.Errorf("--http %s: %w; something else than the --http of kring listens there, such as a listener for its clients", f.HTTP, err)
}

// get asks for JSON.
func (s *side) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return s.do(ctx, http.MethodGet, path, nil, into)
}

// post sends JSON and gets JSON.
func (s *side) post(ctx context.Context, path string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.do(ctx, http.MethodPost, path, raw, into)
}

func (s *side) do(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--http %s: %w; give HOST:PORT or unix:PATH", s.address, err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return sideFlags{s.address}.notThere(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, sideAnswerMax))
	if err != nil {
		return fmt.Errorf("--http %s: %w", s.address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("--http %s: %s", s.address, faultOf(resp.Status, raw))
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("--http %s: %s has answered what is no answer of kring: %w", s.address, path, err)
	}
	return nil
}

// faultOf is what an answer says that is none.
func faultOf(status string, raw []byte) string {
	var fault struct{ Error string }
	if json.Unmarshal(raw, &fault) == nil && fault.Error != "" {
		return top.Clean(fault.Error)
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n")
	return status + ": " + top.Clean(text[:min(len(text), 200)])
}

// unwrapURL leaves out the method and address that an error of http.Client begins with.
func unwrapURL(err error) error {
	if wrapped, is := err.(*url.Error); is {
		return wrapped.Err
	}
	return err
}

// snapshot is a top.Source.
func (s *side) snapshot(ctx context.Context, q top.Query) (snap top.Snapshot, err error) {
	if err := s.get(ctx, "/status", nil, &snap.Status); err != nil {
		return snap, err
	}
	ask := url.Values{"sort": {q.Sort}, "limit": {fmt.Sprint(q.Limit)}, "offset": {fmt.Sprint(q.Offset)}}
	if q.Ascending {
		ask.Set("order", "asc")
	}
	if q.Search != "" {
		ask.Set("search", q.Search)
	}
	if q.MutedOnly {
		ask.Set("muted", "*")
	}
	return snap, s.get(ctx, "/connections", ask, &snap.Connections)
}
