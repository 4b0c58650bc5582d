package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"kring"
)

// Closer ends connections; a *kring.Server is one.
type Closer interface {
	CloseConns(ctx context.Context, ids []kring.ConnID) (closed []kring.ConnID, err error)
}

// CloseRequest is what POST /connections/close takes, as JSON: ids, or a filter of the same
// keys as those of GET /connections. {"filter": {}} is nobody, not all.
type CloseRequest struct {
	IDs    []string          `json:"ids,omitempty"`
	Filter map[string]string `json:"filter,omitempty"`
}

// CloseAnswer is what it answers: who was told to end, and who was not there any more.
type CloseAnswer struct {
	At         time.Time `json:"at"`
	Closed     []string  `json:"closed"`
	NotFound   []string  `json:"not_found"`
	Incomplete string    `json:"incomplete,omitempty"`
}

// closeBodyMax bounds the body of a CloseRequest: pageMax ids.
const closeBodyMax = 512 << 10

// closeConnections answers POST /connections/close.
func (v *View) closeConnections(w http.ResponseWriter, r *http.Request) {
	closer, can := v.Source.(Closer)
	if !v.Admin || !can {
		answer(w, http.StatusForbidden, map[string]string{"error": "/connections/close: nothing can be changed here; start the server with --http-admin"})
		return
	}
	// A page of another site can post a form to us, and no JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type: give application/json"})
		return
	}
	ids, err := v.toClose(r.Context(), http.MaxBytesReader(w, r.Body, closeBodyMax))
	if err != nil {
		refuse(w, err)
		return
	}
	closed, err := closer.CloseConns(r.Context(), ids)
	body := CloseAnswer{At: time.Now().UTC(), Closed: []string{}, NotFound: []string{}}
	if err != nil {
		body.Incomplete = err.Error()
	}
	gone := map[kring.ConnID]bool{}
	for _, id := range closed {
		gone[id] = true
		body.Closed = append(body.Closed, id.String())
	}
	for _, id := range ids {
		if !gone[id] {
			body.NotFound = append(body.NotFound, id.String())
		}
	}
	if v.Administered != nil {
		v.Administered(r, len(closed))
	}
	answer(w, http.StatusOK, body)
}

// toClose reads which connections are meant.
func (v *View) toClose(ctx context.Context, body io.Reader) (ids []kring.ConnID, err error) {
	var req CloseRequest
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		return nil, fmt.Errorf(`the body: %w; give {"ids": ["0-17"]} or {"filter": {"client_id": "x"}}`, err)
	}
	switch {
	case len(req.IDs) > pageMax:
		return nil, fmt.Errorf("ids: %d of them; give %d at most", len(req.IDs), pageMax)
	case (len(req.IDs) > 0) == (len(req.Filter) > 0):
		return nil, errors.New("give ids or a filter, one of the two")
	case len(req.IDs) > 0:
		for _, s := range req.IDs {
			id, err := kring.ParseConnID(s)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	for name, value := range req.Filter {
		switch {
		case filters[name] == nil:
			return nil, fmt.Errorf("filter %q: give one of %s", name, strings.Join(FilterKeys(), ", "))
		case name == "search" && value == "":
			return nil, errors.New(`filter "search": it is empty, and would find everybody; give what to look for`)
		}
	}
	all, err := v.Source.Conns(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range filter(req.Filter).choose(all) {
		ids = append(ids, c.ID)
	}
	return slices.Clip(ids), nil
}
