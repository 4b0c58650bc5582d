package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// A browser on this machine, or in its network, runs pages of strangers. Two things let such a
// page reach the side door, which has no authentication:
//   - DNS rebinding: the page's own name is made to mean this machine's address. The browser
//     then lets it read what it gets. What gives it away is the name, which is in Host.
//   - Requests to another site. The browser sends them, and doesn't let the page read the
//     answer; but what they do is done.

// anyHost of --http-hosts lets every name in: something in front of the side door judges it.
const anyHost = "*"

// httpGuard lets through what comes by a name of this server, and from no other site.
type httpGuard struct {
	names map[string]bool // in small letters; of --http, --http-hosts, and this machine
	any   bool
	cross *http.CrossOriginProtection
	next  http.Handler
}

// newHTTPGuard makes the guard of the address that --http has.
func newHTTPGuard(address string, hosts []string, next http.Handler) *httpGuard {
	g := &httpGuard{names: map[string]bool{}, cross: http.NewCrossOriginProtection(), next: next}
	for _, name := range hosts {
		g.any = g.any || name == anyHost
		g.names[hostName(name)] = true
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		g.names[hostName(host)] = true
	}
	if name, err := os.Hostname(); err == nil {
		g.names[hostName(name)] = true
	}
	return g
}

// hostName is a name as it is compared: without a port, brackets and the dot at its end.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// ServeHTTP refuses, or passes on.
func (g *httpGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch name := hostName(r.Host); {
	case !g.isOurs(r, name):
		http.Error(w, fmt.Sprintf("%q is no name of this server; if it is, start it with --http-hosts %s", r.Host, name), http.StatusMisdirectedRequest)
	case g.isCross(r):
		http.Error(w, "this comes from a page of another site, which may not do that here", http.StatusForbidden)
	case isUntold(r):
		http.Error(w, "a browser doesn't say here from which page this comes; profiles are for go tool pprof and curl, or a browser on this machine at http://localhost", http.StatusForbidden)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// isOurs says that name is one of this server's. An address is nobody's name: a page that
// has it for its own came from there. HTTP/1.0 has no names, and no browser speaks it. By a
// Unix domain socket no browser comes.
func (g *httpGuard) isOurs(r *http.Request, name string) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return g.any || name == "localhost" || strings.HasSuffix(name, ".localhost") || g.names[name] ||
		r.Host == "" && !r.ProtoAtLeast(1, 1)
}

// isUntold says that a browser asks for a profile and does not say from which page: to what is
// neither on this machine nor by TLS it says so of no GET. All browsers' User-Agent begins so, and
// a page can't have it otherwise without asking first (CORS).
func isUntold(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, pprofPath) && strings.HasPrefix(r.UserAgent(), "Mozilla/") &&
		r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == ""
}

// isCross says that a page of another site asks for what costs or changes something: all but
// GET and HEAD, and profiles by these too.
func (g *httpGuard) isCross(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, pprofPath) {
		asked := *r
		asked.Method = http.MethodPost // is judged as what changes something
		r = &asked
	}
	return g.cross.Check(r) != nil
}

// validateHosts demands names.
func (f *httpFlags) validateHosts() (faults []error) {
	if len(f.HTTPHosts) > 0 && f.HTTP == "" {
		faults = append(faults, fmt.Errorf("--http-hosts: there is no side door; give --http ADDRESS"))
	}
	for _, name := range f.HTTPHosts {
		if name != anyHost && (name == "" || strings.ContainsAny(name, "/:* ,\"")) {
			faults = append(faults, fmt.Errorf("--http-hosts: %q is no name; give names without a scheme and a port, such as kring.example.org, or * for all", name))
		}
	}
	return faults
}
