package views

import (
	"kring/reqchan"
	"kring/telemetry"
)

// Telemetry is what clients push of their own metrics (KIP-714); a *telemetry.State is one.
type Telemetry interface {
	// Of is what the client of a connection pushed; false: nothing.
	Of(conn reqchan.ConnID) (telemetry.Pushed, bool)
}

// telemetryOf is what the client of a connection says of itself; nil: nothing is known.
func (v *View) telemetryOf(conn reqchan.ConnID) *telemetry.Pushed {
	if v.Telemetry == nil {
		return nil
	}
	p, ok := v.Telemetry.Of(conn)
	if !ok {
		return nil
	}
	return &p
}
