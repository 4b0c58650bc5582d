package metrics

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// descs are the descriptions of series. To make one costs more than to send it, so they are kept.
// There are as many as there are names, nearly, and clients choose none of these. Any goroutine
// may use it.
type descs struct {
	mu   sync.RWMutex
	kept map[descKey]desc // guarded by mu
}

// descKey finds a description. A name has the same labels everywhere, but for sums that have
// fewer.
type descKey struct {
	name   string
	labels int
}

type desc struct {
	help   string
	labels []string
	is     *prometheus.Desc
}

// of is the description of a series.
func (d *descs) of(name, help string, labels []label) *prometheus.Desc {
	key := descKey{name, len(labels)}
	d.mu.RLock()
	was, known := d.kept[key]
	d.mu.RUnlock()
	if known && was.describes(help, labels) {
		return was.is
	}
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = l.name
	}
	is := prometheus.NewDesc(name, help, names, nil)
	if !known {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.kept == nil {
			d.kept = map[descKey]desc{}
		}
		d.kept[key] = desc{help, names, is}
	}
	return is
}

func (d *desc) describes(help string, labels []label) bool {
	return d.help == help && slices.EqualFunc(d.labels, labels, func(name string, l label) bool { return name == l.name })
}

// valuesOf are the values of labels. Whatever names clients gave themselves, a label is UTF-8:
// one that is not would end the scrape.
func valuesOf(labels []label) []string {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = strings.ToValidUTF8(l.value, "\uFFFD")
	}
	return values
}
