package views

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kring/internal/pace"
)

const (
	pageDefault = 100
	pageMax     = 10_000
)

// paging is the page of a list that is asked for.
type paging[T any] struct {
	orders        map[string]func(a, b *T) int // the largest come first
	sort          string                       // a key of orders
	ascending     bool
	offset, limit int
	pace          pace.Pace // of a list that may be very long
}

// pagingBy is the first page, in the order that is named.
func pagingBy[T any](orders map[string]func(a, b *T) int, sort string) paging[T] {
	return paging[T]{orders: orders, sort: sort, limit: pageDefault}
}

// read takes the parameters of a request, and has other take those of its list alone.
func (p *paging[T]) read(q url.Values, other func(name, value string) error) (err error) {
	for name, values := range q {
		value := values[len(values)-1]
		switch name {
		case "sort":
			if p.sort = value; p.orders[value] == nil {
				err = fmt.Errorf("sort=%q: give one of %s", value, strings.Join(slices.Sorted(maps.Keys(p.orders)), ", "))
			}
		case "order":
			if p.ascending = value == "asc"; value != "asc" && value != "desc" {
				err = fmt.Errorf("order=%q: give asc or desc", value)
			}
		case "limit":
			p.limit, err = number(name, value, pageMax)
		case "offset":
			p.offset, err = number(name, value, 1<<30)
		default:
			err = other(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noParameter is the fault of a name that is neither one of read nor one of others.
func noParameter(name string, others []string) error {
	return fmt.Errorf("%s: no such parameter; there are sort, order, limit, offset, %s", name, strings.Join(others, ", "))
}

func number(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s=%q: give a number from 0 to %d", name, value, most)
	}
	return n, nil
}

// cut sorts all, in its memory, and gives what is on the page.
func (p *paging[T]) cut(all []T) []T {
	order := p.orders[p.sort]
	slices.SortStableFunc(all, func(a, b T) int {
		p.pace.SmallStep()
		if p.ascending {
			return order(&a, &b)
		}
		return order(&b, &a)
	})
	from := min(p.offset, len(all))
	return all[from:min(from+p.limit, len(all))]
}
