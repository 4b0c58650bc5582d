package views

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"kring"
)

// Source is what is shown; a *kring.Server is one.
type Source interface {
	Conns(ctx context.Context) ([]kring.ConnInfo, error)
	Stats() kring.Stats
}

// View is an http.Handler of GET /connections and GET /processors. Its Closed must see the
// connections that end.
type View struct {
	Source Source
	// Closed has the connections that ended last; nil: none are shown.
	Closed *Closed
}

// ServeHTTP answers with JSON; a wrong parameter is a 400 that names it and what to give.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": r.Method + ": give GET"})
	case r.URL.Path == "/connections":
		v.connections(w, r)
	case r.URL.Path == "/processors":
		v.processors(w, r)
	default:
		http.NotFound(w, r)
	}
}

// answer writes body as JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(body) // who asked may have gone
}

// refuse answers that a parameter is wrong.
func refuse(w http.ResponseWriter, err error) {
	answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

// millis is a duration as JSON shows it.
func millis(d time.Duration) int64 { return max(d, 0).Milliseconds() }
