//go:build !unix

package main

import "os"

// This system has no signals to spare.
var stateSignal, rereadSignal, upgradeSignal, brokenPipe os.Signal
