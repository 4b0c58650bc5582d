package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTableOnDiskIsWhatTheDecodersSay(t *testing.T) {
	want, err := Table()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../schema_table.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("kafka/schema_table.go is not what kmsg's decoders say: run go generate ./kafka")
	}
}
