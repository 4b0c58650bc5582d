package views

import (
	"maps"
	"net/url"
	"slices"
)

// producerPage is which producers are asked for.
type producerPage struct {
	paging[Producer]
	chosen map[string]string
}

func producerPageOf(q url.Values) (producerPage, error) {
	p := producerPage{paging: pagingBy(producerOrders, "last"), chosen: map[string]string{}}
	err := p.read(q, func(name, value string) error {
		if producerFilters[name] == nil {
			return noParameter(name, slices.Sorted(maps.Keys(producerFilters)))
		}
		p.chosen[name] = value
		return nil
	})
	return p, err
}

// of gives the producers of the page: chosen, sorted, and only then cut. matched is how many
// there are on all pages.
func (p producerPage) of(all []Producer) (shown []Producer, matched int) {
	all = slices.DeleteFunc(all, func(one Producer) bool {
		for name, want := range p.chosen {
			if producerFilters[name](&one) != want {
				return true
			}
		}
		return false
	})
	return append([]Producer{}, p.cut(all)...), len(all)
}
