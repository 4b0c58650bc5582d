//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("processor time and memory of another process are measured on Linux alone")

func (s *server) cpu() (time.Duration, error) { return 0, errLinux }

func (s *server) resident() (int64, error) { return 0, errLinux }
