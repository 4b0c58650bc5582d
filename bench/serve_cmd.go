package main

import (
	"os"

	"kring/bench/contestant"
)

// serveCmd is a contestant's process.
type serveCmd struct {
	Server   string `default:"kring"`
	Engine   string
	Dispatch string
	Wait     string
	Pipeline int `default:"1"`
	Kafka    bool
	Embedded bool
	URing    []string `name:"uring"`
	TLSCert  string   `name:"tls-cert"`
	TLSKey   string   `name:"tls-key"`
	PlainToo bool
	// 0 leaves the server's own.
	BigFrameBytes, HandlerBatch int
}

func (c *serveCmd) Run() error {
	return contestant.Serve(contestant.ServeConfig{
		Server: c.Server, Engine: c.Engine, Dispatch: c.Dispatch, Wait: c.Wait, Pipeline: c.Pipeline, Kafka: c.Kafka, Embedded: c.Embedded,
		URing: c.URing, BigFrameBytes: c.BigFrameBytes, HandlerBatch: c.HandlerBatch,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, PlainToo: c.PlainToo,
	}, contestant.Input(), os.Stdout)
}
