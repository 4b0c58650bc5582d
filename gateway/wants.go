package gateway

import "net/netip"

// wants are what somebody asked for in vain, topicsWantedMax at most. When there are as many, who
// has most of them, by network, makes way for others: one that asks for more than there is room for
// keeps nobody else out.
type wants[K comparable] struct {
	by  map[K]netip.Prefix
	has map[netip.Prefix]int // how many of by
}

func newWants[K comparable]() wants[K] {
	return wants[K]{map[K]netip.Prefix{}, map[netip.Prefix]int{}}
}

func (w *wants[K]) len() int { return len(w.by) }

// add says whether k is new, and has found room.
func (w *wants[K]) add(k K, from netip.Prefix) bool {
	if _, is := w.by[k]; is || len(w.by) >= topicsWantedMax && !w.makeWay(from) {
		return false
	}
	w.by[k] = from
	w.has[from]++
	return true
}

// makeWay takes out one of who has most, if that is at least two more than from has.
func (w *wants[K]) makeWay(from netip.Prefix) bool {
	if w.has[from]*len(w.has) >= topicsWantedMax { // it has its share: nothing to look for
		return false
	}
	most, n := netip.Prefix{}, w.has[from]+1
	for p, has := range w.has {
		if has > n {
			most, n = p, has
		}
	}
	if n < w.has[from]+2 {
		return false
	}
	for k, p := range w.by {
		if p == most {
			delete(w.by, k)
			w.has[most]--
			return true
		}
	}
	return false
}

// take empties w.
func (w *wants[K]) take() map[K]netip.Prefix {
	all := w.by
	*w = newWants[K]()
	return all
}
