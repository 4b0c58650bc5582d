package metrics

import (
	"sync"
	"time"

	"kring"
)

const (
	// windowLength is what rates and quantiles look back on, as Kafka's one-minute
	// rates do. Scrapes are seldom exactly apart, so it is a minute, and less than the
	// distance of two snapshots more.
	windowLength = time.Minute
	// windowStep is how far apart the snapshots are that are kept.
	windowStep = 5 * time.Second
)

// snapshot is what a Server had counted at a moment.
type snapshot struct {
	at    time.Time
	stats kring.Stats
	sasl  map[string]Authentications
}

// window keeps the snapshots of about the last minute: a new one whenever somebody
// scrapes and the last is windowStep old. So there is no goroutine, and several scrapers
// see the same minute. It is bounded by windowLength / windowStep and two.
type window struct {
	mu   sync.Mutex
	kept []snapshot // guarded by mu; oldest first, the first is the youngest that is windowLength old
}

// since gives the snapshot that now is compared with: the youngest that is a minute old,
// else the oldest there is.
func (w *window) since(now snapshot) snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.kept) > 1 && now.at.Sub(w.kept[1].at) >= windowLength {
		w.kept = w.kept[1:]
	}
	since := w.kept[0]
	if now.at.Sub(w.kept[len(w.kept)-1].at) >= windowStep {
		w.kept = append(w.kept[:len(w.kept):len(w.kept)], now)
	}
	return since
}

// keep begins the window.
func (w *window) keep(s snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, s)
}
