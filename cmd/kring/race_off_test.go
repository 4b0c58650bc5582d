//go:build !race && linux

package main

const detectorShare = 0
