//go:build invariants || race

package invariants

// Enabled says that assertions are on.
const Enabled = true
