package top

import (
	"context"
	"time"
)

// Once asks twice, so that there are rates of the time between, and returns what Text shows
// then.
func (m Model) Once(ctx context.Context, columns, rows int, over time.Duration) (Model, error) {
	m.width, m.height = columns, rows+headLines+footLines
	for i := range 2 {
		if i > 0 {
			select {
			case <-time.After(over):
			case <-ctx.Done():
				return m, ctx.Err()
			}
		}
		q := m.query
		q.Limit = rows
		s, err := m.source(ctx, q)
		if err != nil {
			return m, err
		}
		m = m.take(answered{snapshot: s})
	}
	return m, nil
}
