//go:build linux

package uring

import (
	"strings"
	"testing"
)

func TestThisKernelHasEverything(t *testing.T) {
	n, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(n.Features(), "all features") && ringFlagsRefused == 0 {
		t.Errorf("Features() = %q", n.Features())
	}
	t.Log(n.Features())
}
