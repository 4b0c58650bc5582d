// Package lint holds the house rules as tests over the source tree.
//
// Job: keep by machine what reviewers would tire of: the import layering, where
// unsafe may be, how long a function may get, what every package says of
// itself, which names we do not use.
//
// Flow: Load reads the files that git tracks or would track and parses the Go
// ones; every Rule looks at that Tree and returns Findings; the test of this
// package reports them, each with what to write instead.
//
// Ownership: a Tree is read by all rules and changed by none.
//
// Never: run the code it looks at; need the network; report a rule without a
// remedy; excuse a file by a pattern where a name will do.
//
// Kernel: none.
package lint
