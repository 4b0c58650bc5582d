//go:build unix

package main

import (
	"os"
	"syscall"
)

// stateSignal asks for a log line about what the server holds now.
var stateSignal os.Signal = syscall.SIGUSR1

// rereadSignal has the settings read again that may change meanwhile.
var rereadSignal os.Signal = syscall.SIGHUP

// upgradeSignal starts the process that takes over.
var upgradeSignal os.Signal = syscall.SIGUSR2

// brokenPipe comes of writing where nobody reads any more; Go ends the process
// by it if that is standard output or standard error (os/signal).
var brokenPipe os.Signal = syscall.SIGPIPE
