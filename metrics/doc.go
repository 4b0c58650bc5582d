// Package metrics shows what a kring.Server counts to Prometheus, under the names that
// dashboards of Kafka use, and under names of our own.
//
// Job: one Collector for one Server, for any registry. It reads the counts that the
// processors keep anyway, when it is scraped; between two scrapes it costs nothing.
//
// Flow: Collect takes a snapshot (Server.Stats); each table of families turns it into
// metrics. What Kafka has as a rate or a quantile of the last minute is computed between
// this snapshot and one that is about a minute old (window.go).
//
// Ownership: any number of goroutines may collect at once. A snapshot is its
// collection's; the few that are kept for the window are never changed.
//
// Never: hold up a processor; have a label whose values a client chooses without a
// bound; leave a series out until it happens (it is 0 from the start), where its labels
// are known.
//
// Kernel: none.
package metrics
