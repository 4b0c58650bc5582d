// Package views shows who is connected to a kring.Server, and what its processors do, as
// JSON over HTTP.
//
// Job: an http.Handler for /connections and /processors, and a bounded list of
// connections that have ended, with their reasons.
//
// Flow: a request asks Server.Conns for what is there now; it is filtered, sorted and only
// then cut to a page. Events.ConnClosed feeds the list of those that have ended.
//
// Ownership: a View may be used by any number of goroutines. It keeps no connection alive.
//
// Never: hold up a processor; show what was sent, or a secret; sort after the limit;
// use a second clock (ages and idle times are the processors' own).
//
// Kernel: none.
package views
