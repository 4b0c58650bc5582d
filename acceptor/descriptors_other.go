//go:build !unix

package acceptor

// descriptors are not limited here by a number that one could ask for.
func descriptorLimit() int { return 0 }

// Prepare makes room for the descriptors of so many connections; there is no
// table here that would have to grow.
func Prepare(conns, files int) {}
