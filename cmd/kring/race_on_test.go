//go:build race && linux

package main

// detectorShare is what the race detector adds to the memory of a process, in parts of
// what that has: it notes who used each word of it last.
const detectorShare = 1
