// Package invariants holds the assertions that cost too much for a release.
//
// Job: check for programming errors. Flow: call sites guard with Enabled, a
// constant, so that a release build contains nothing of it.
// Ownership: none. Never: report an operating error; those are returned.
// Kernel: none. On with the build tag invariants, and under -race.
package invariants

import "fmt"

// Assert panics when ok is false and assertions are on.
func Assert(ok bool, format string, args ...any) {
	if Enabled && !ok {
		panic("kring: broken invariant: " + fmt.Sprintf(format, args...))
	}
}
