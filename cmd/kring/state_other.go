//go:build !unix

package main

import "os"

// stateSignal: this system has no signal to spare.
var stateSignal os.Signal
