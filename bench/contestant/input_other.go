//go:build !unix

package contestant

import "os"

// Input is the standard input of a contestant's process.
func Input() *os.File { return os.Stdin }
