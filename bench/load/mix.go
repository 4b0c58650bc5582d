package load

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// mix is what the connections send: each has one template, and they are dealt
// out by their shares. A client has a size that is typical of it, which is why
// the distribution is over connections.
type mix struct {
	templates []*template
	upTo      []float64 // cumulated shares, the last one 1
}

func single(t *template) *mix { return &mix{[]*template{t}, []float64{1}} }

// golden deals numbers out so that every run of them is close to the shares.
const golden = 0.6180339887498949

// of gives the template of connection id.
func (m *mix) of(id int) *template {
	_, u := math.Modf(float64(id) * golden)
	at, _ := slices.BinarySearch(m.upTo, u)
	return m.templates[min(at, len(m.templates)-1)]
}

// share is a part of the connections and the bytes of their frames.
type share struct {
	weight float64
	bytes  int
}

// parseSizes reads Config.Sizes: WEIGHT*BYTES, separated by commas.
func parseSizes(text string) ([]share, error) {
	var shares []share
	for part := range strings.SplitSeq(text, ",") {
		weight, size, found := strings.Cut(strings.TrimSpace(part), "*")
		w, errW := strconv.ParseFloat(weight, 64)
		n, errN := strconv.Atoi(size)
		if !found || errW != nil || errN != nil || !(w > 0) || math.IsInf(w, 0) || n < 0 || n > payloadBytesMax {
			return nil, fmt.Errorf("%q is no WEIGHT*BYTES with a weight above 0 and 0 to %d bytes", part, payloadBytesMax)
		}
		shares = append(shares, share{w, n})
	}
	if len(shares) > sizesMax {
		return nil, errors.New("too many sizes: at most " + strconv.Itoa(sizesMax))
	}
	return shares, nil
}

// sizesMax bounds the templates: each has memory of its own.
const sizesMax = 64

// mixOf makes the templates of a distribution.
func mixOf(shares []share) *mix {
	m, sum, all := &mix{}, 0.0, 0.0
	for _, s := range shares {
		all += s.weight
	}
	for _, s := range shares {
		sum += s.weight
		m.templates = append(m.templates, frameTemplate(s.bytes))
		m.upTo = append(m.upTo, sum/all)
	}
	return m
}
