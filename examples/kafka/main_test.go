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
	const want = `batches: 3
`
	if out.String() != want {
		t.Errorf("it says %q, not %q", out.String(), want)
	}
}
