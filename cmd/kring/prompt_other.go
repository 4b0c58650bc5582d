//go:build !linux

package main

import (
	"errors"
	"os"
)

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func readHidden(*os.File) ([]byte, error) {
	return nil, errors.New("a password can't be asked for on this system without showing it; give --password-file, or pipe it in")
}
