// Package echo answers every frame with itself, whatever the protocol, as long
// as its frames begin with their size.
//
// Job: measure the network layer with no protocol on top, and show how small a
// handler can be.
//
// Flow: Handle answers with the payload that came, from the memory it came in:
// nothing is copied or allocated.
//
// Ownership: none; the one value may serve any number of goroutines.
//
// Never: block; look at the payload.
//
// Kernel: none.
package echo

import "kring/reqchan"

// Handler answers every frame with itself.
type Handler struct{}

// Handle answers r with its own payload.
func (Handler) Handle(r reqchan.Request) { r.Respond(r.Payload()) }
