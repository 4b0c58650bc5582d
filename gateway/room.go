package gateway

import (
	"encoding/binary"

	"kring/reqchan"
)

// Requests that are under way hold no memory of responses yet. So what all of them were
// promised counts as if it were taken: else as many answers of full size could come at once as
// there are upstream connections.

// promiseDivisor: one answer may have this part of what is neither taken nor promised. So the
// more is under way, the less one more gets, and some is always left.
const promiseDivisor = 32

// promiseLeast is what an answer may have however little is left: as reqchan's ResponseRoom.
const promiseLeast = 64 << 10

// lowerBytes has the broker answer a Fetch with no more than there is room for, and takes that
// of the room. Clients expect fewer bytes than they have asked for (KIP-74); a broker sends one
// batch at least, whatever its size.
func (s *slot) lowerBytes() {
	b := reqchan.BudgetOf(s.req.Raw)
	if b == nil || s.course.mostAt == 0 || s.promised > 0 {
		return
	}
	g := s.client.node.g
	stats := b.Stats()
	if stats.Max == 0 {
		return
	}
	left := (stats.Max - stats.Used - g.promised.Load()) / promiseDivisor
	at := s.req.Frame()[s.course.mostAt:]
	s.promised = min(max(left, promiseLeast), max(int64(int32(binary.BigEndian.Uint32(at))), 0))
	g.promised.Add(s.promised)
	binary.BigEndian.PutUint32(at, uint32(s.promised))
}

// settle gives the room back: the answer takes its own, or does not come.
func (s *slot) settle() {
	if s.promised != 0 {
		s.client.node.g.promised.Add(-s.promised)
		s.promised = 0
	}
}
