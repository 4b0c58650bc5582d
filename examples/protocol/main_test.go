package main

import (
	"bytes"
	"testing"
)

func TestTheExampleSaysWhatItPromises(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	const want = `set colour blue: ok
get colour: blue
`
	if out.String() != want {
		t.Errorf("it says %q, not %q", out.String(), want)
	}
}
