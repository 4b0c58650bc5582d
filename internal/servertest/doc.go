// Package servertest starts whole Servers for tests and talks to them in
// frames.
//
// Job: what every test of a property of the whole Server needs: the engines of
// this system, a Server that must leave nothing behind, a client that speaks
// in frames, and a wait for a condition.
//
// Flow: EachEngine or Each runs a property per engine; Start serves until the
// test ends; Dial gives a Client.
//
// Ownership: Start and Dial end what they began when the test ends. A Client
// is for one goroutine that sends and one that receives.
//
// Never: sleep; take a port that is not free; pass over an engine of this
// system.
//
// Kernel: none of its own.
package servertest
