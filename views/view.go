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

// View is an http.Handler of GET /, /status, /connections, /producers and /processors, and of
// POST /connections/close. Its Closed must see the connections that end. Set its fields
// before the first request.
type View struct {
	// Source is what is shown. One that has the methods Engine, Why and MemoryPlan of a
	// *kring.Server has its /status say these as well.
	Source Source
	// Closed has the connections that ended last; nil: none are shown.
	Closed *Closed
	// Producers, if set, gives who produces, in memory that is the caller's, and how many
	// were forgotten; nil: there is no /producers.
	Producers func() (all []Producer, forgotten uint64)
	// Version of the program, for /status.
	Version string
	// APIName gives the name of an API; default its number. LongPoll names the APIs whose
	// requests ask to wait.
	APIName  func(key int16) string
	LongPoll func(key int16) bool
	// Admin allows POST /connections/close, if Source is a Closer. Whoever reaches the
	// View may close any connection then. Administered, if set, is told of each such
	// request, and how many connections it has closed.
	Admin        bool
	Administered func(r *http.Request, closed int)
	// Telemetry has what clients pushed of their metrics; nil: nothing.
	Telemetry Telemetry
}

// ServeHTTP answers with JSON; a wrong parameter is a 400 that names it and what to give.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/connections/close":
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST")
			answer(w, http.StatusMethodNotAllowed, map[string]string{"error": r.Method + ": give POST"})
			return
		}
		v.closeConnections(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": r.Method + ": give GET"})
	case r.URL.Path == "/connections":
		v.connections(w, r)
	case r.URL.Path == "/":
		servePage(w)
	case r.URL.Path == "/status":
		v.status(w, r)
	case r.URL.Path == "/producers":
		v.producers(w, r)
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

// floatMillis is a duration that may be less than a millisecond.
func floatMillis(d time.Duration) float64 { return float64(max(d, 0).Microseconds()) / 1e3 }
