package main

import (
	"bytes"
	"testing"
)

func TestTheExampleSaysWhatItPromises(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	const want = `orders 0: a hammer
`
	if out.String() != want {
		t.Errorf("it says %q, not %q", out.String(), want)
	}
}
