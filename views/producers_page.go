package views

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// producerPage is which producers are asked for.
type producerPage struct {
	sort          string
	ascending     bool
	offset, limit int
	chosen        map[string]string
}

func producerPageOf(q url.Values) (producerPage, error) {
	p := producerPage{sort: "last", limit: pageDefault, chosen: map[string]string{}}
	for name, values := range q {
		value := values[len(values)-1]
		var err error
		switch {
		case producerFilters[name] != nil:
			p.chosen[name] = value
		case name == "sort":
			if p.sort = value; producerOrders[value] == nil {
				err = fmt.Errorf("sort=%q: give one of %s", value, strings.Join(slices.Sorted(maps.Keys(producerOrders)), ", "))
			}
		case name == "order":
			if p.ascending = value == "asc"; value != "asc" && value != "desc" {
				err = fmt.Errorf("order=%q: give asc or desc", value)
			}
		case name == "limit":
			p.limit, err = number(name, value, pageMax)
		case name == "offset":
			p.offset, err = number(name, value, 1<<30)
		default:
			err = fmt.Errorf("%s: no such parameter; there are sort, order, limit, offset, %s", name, strings.Join(slices.Sorted(maps.Keys(producerFilters)), ", "))
		}
		if err != nil {
			return producerPage{}, err
		}
	}
	return p, nil
}
