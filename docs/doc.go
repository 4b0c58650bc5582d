// Package docs carries those pages of this folder that the program shows.
//
// Job: one text for readers of the folder and for users of the program.
//
// Flow: cmd/kring takes from a page what it was asked about.
//
// Ownership: constants.
//
// Never: hold what the program could find out by itself.
//
// Kernel: nothing.
package docs

import _ "embed"

// Experiments is experiments.md. Its table of settings has a row for each key
// of uring.Settings, "| `key` | default | since | what it does |".
//
//go:embed experiments.md
var Experiments string
