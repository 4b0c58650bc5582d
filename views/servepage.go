package views

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
)

// statusPage is the page at /: one file, which loads nothing but the JSON of this View.
//
//go:embed status.html
var statusPage string

// statusPolicy allows the page's own style and script, by their hashes, and requests to this
// server: nothing that a client's text could become is run or loaded.
var statusPolicy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"style-src " + hashOf(between(statusPage, "<style>", "</style>")) + "; script-src " + hashOf(between(statusPage, "<script>", "</script>"))

func between(s, from, to string) string {
	_, rest, _ := strings.Cut(s, from)
	inner, _, _ := strings.Cut(rest, to)
	return inner
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// servePage answers GET /.
func servePage(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", statusPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(statusPage)) // who asked may have gone
}
