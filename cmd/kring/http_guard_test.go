package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page whose name is made to mean this machine (DNS rebinding) gets nothing, and a page of
// another site can't have profiles made, or change anything.
func TestTheSideDoorAnswersToItsOwnNamesOnly(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	guard := newHTTPGuard("broker.example.org:9644", []string{"Kring.Example.Org", "other"}, passed)
	const ok = http.StatusNoContent
	for _, c := range []struct {
		method, path, host string
		header             map[string]string
		status             int
	}{
		{"GET", "/metrics", "localhost:9644", nil, ok},
		{"GET", "/metrics", "kring.localhost", nil, ok},
		{"GET", "/metrics", "127.0.0.1:9644", nil, ok},
		{"GET", "/metrics", "[::1]:9644", nil, ok},
		{"GET", "/metrics", "10.1.2.3:9644", nil, ok},
		{"GET", "/metrics", "broker.example.org:80", nil, ok},
		{"GET", "/metrics", "KRING.example.org.", nil, ok},
		{"GET", "/metrics", "other", nil, ok},
		{"GET", "/metrics", "evil.example.com", nil, http.StatusMisdirectedRequest},
		{"GET", "/healthz", "evil.example.com:9644", nil, http.StatusMisdirectedRequest},
		{"GET", "/metrics", "localhost.evil.example.com", nil, http.StatusMisdirectedRequest},
		{"GET", "/metrics", "127.0.0.1.evil.example.com", nil, http.StatusMisdirectedRequest},
		{"GET", "/metrics", "", nil, http.StatusMisdirectedRequest},
		{"GET", "/metrics", "localhost", map[string]string{"Sec-Fetch-Site": "cross-site"}, ok},
		{"POST", "/metrics", "localhost", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"POST", "/metrics", "localhost", map[string]string{"Origin": "http://evil.example.com"}, http.StatusForbidden},
		{"POST", "/metrics", "localhost", map[string]string{"Origin": "http://localhost"}, ok},
		{"POST", "/metrics", "localhost", nil, ok},
		{"GET", "/debug/pprof/profile", "localhost", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"GET", "/debug/pprof/profile", "localhost", map[string]string{"Sec-Fetch-Site": "none"}, ok},
		{"GET", "/debug/pprof/profile", "10.1.2.3:9644", map[string]string{"User-Agent": "Mozilla/5.0 (X11)", "Accept": "image/*"}, http.StatusForbidden},
		{"GET", "/debug/pprof/trace", "10.1.2.3:9644", map[string]string{"User-Agent": "Mozilla/5.0 (X11)"}, http.StatusForbidden},
		{"GET", "/debug/pprof/profile", "10.1.2.3:9644", map[string]string{"User-Agent": "Go-http-client/1.1"}, ok},
		{"GET", "/debug/pprof/profile", "10.1.2.3:9644", map[string]string{"User-Agent": "curl/8.5.0", "Accept": "*/*"}, ok},
		{"GET", "/debug/pprof/profile", "localhost", map[string]string{"User-Agent": "Mozilla/5.0 (X11)", "Sec-Fetch-Site": "same-origin"}, ok},
		{"GET", "/metrics", "10.1.2.3:9644", map[string]string{"User-Agent": "Mozilla/5.0 (X11)"}, ok},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Host = c.host
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		if guard.ServeHTTP(w, r); w.Code != c.status {
			t.Errorf("%s %s of %q, %v: status %d, want %d", c.method, c.path, c.host, c.header, w.Code, c.status)
		}
		if w.Code == http.StatusMisdirectedRequest && c.host != "" && !strings.Contains(w.Body.String(), "--http-hosts "+hostName(c.host)) {
			t.Errorf("%q: no remedy in %q", c.host, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Host = "evil.example.com"
	w := httptest.NewRecorder()
	newHTTPGuard("127.0.0.1:0", []string{anyHost}, passed).ServeHTTP(w, r)
	if w.Code != ok {
		t.Errorf("with *: status %d", w.Code)
	}
	w = httptest.NewRecorder()
	guard.ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Net: "unix"}))))
	if w.Code != ok {
		t.Errorf("by a Unix domain socket: status %d", w.Code)
	}
	f := httpFlags{HTTPHosts: []string{"http://a", "a:1", "", "*", "good"}}
	if faults := f.validateHosts(); len(faults) != 4 {
		t.Errorf("%v", faults)
	}
}

// TestReadyGivesANameThatTheSideDoorAnswersTo: it said "kring", which the side door refuses, so
// that the health check of a container failed for ever.
func TestReadyGivesANameThatTheSideDoorAnswersTo(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ready\n")) })
	door := httptest.NewServer(newHTTPGuard("127.0.0.1:0", nil, passed))
	defer door.Close()
	for _, args := range [][]string{{"ready"}, {"ready", "--live"}} {
		status, out, stderr := command(t, append(args, "--http", strings.TrimPrefix(door.URL, "http://"))...)
		if status != exitOK || out != "ready\n" {
			t.Errorf("%q: status %d, %q, %s", args, status, out, stderr)
		}
	}
}
