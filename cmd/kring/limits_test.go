package main

import (
	"bytes"
	"strings"
	"testing"

	"kring"
)

func TestIPLimitsAreReadWithTheirPrefixes(t *testing.T) {
	for text, want := range map[string]kring.AddressLimit{
		"192.0.2.7=5":         {Source: "192.0.2.7", ConnsMax: 5},
		"10.0.0.0/8=100/20.5": {Source: "10.0.0.0/8", ConnsMax: 100, ConnRateMax: 20.5},
		"2001:db8::/32=0":     {Source: "2001:db8::/32", ConnsMax: kring.NoConns},
		"localhost=/3":        {Source: "localhost", ConnRateMax: 3},
	} {
		var got ipLimit
		if err := got.UnmarshalText([]byte(text)); err != nil || kring.AddressLimit(got) != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// Kafka: CQ-15.
func TestWrongLimitsAreRefusedWithTheRemedy(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--ip-limit", "10.0.0.1"}, "HOST=N[/R]"},
		{[]string{"--ip-limit", "10.0.0.1=-1"}, "no count"},
		{[]string{"--ip-limit", "10.0.0.1=1/0"}, "no rate"},
		{[]string{"--max-connections-per-ip", "0"}, "--max-connections-per-ip 0: name in --ip-limit who may connect"},
		{[]string{"--connection-rate=-1"}, "--connection-rate is -1"},
		{[]string{"--max-connections-per-listener=-1"}, "--max-connections-per-listener -1: give 1 or more"},
		{[]string{"--protected-listener", "BROKERS"}, "--protected-listener is BROKERS: name one of --listen"},
		{[]string{"--when-full", "panic"}, "wait"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--handler", "echo"}, c.args...)
		if status := run(args, nil, &stdout, &stderr, nil); status == exitOK || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: exit status %d, saying %q:\n%s", c.args, status, c.says, stderr.String())
		}
	}
}
