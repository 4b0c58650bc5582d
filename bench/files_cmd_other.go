//go:build !linux

package main

import "errors"

// filesCmd needs a way to throw a file out of the page cache.
type filesCmd struct{}

func (filesCmd) Run() error {
	return errors.New("files: needs Linux, which can throw a file out of the page cache")
}
