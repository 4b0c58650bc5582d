package kafka

import (
	"strings"
	"testing"
)

// TestWhatNoClientCanConnectToIsNotAdvertised.
func TestWhatNoClientCanConnectToIsNotAdvertised(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 60)+".", 5)
	for _, good := range []string{
		"localhost:9092", "broker.example.org:1", "broker.example.org.:9092", "kafka_1:9092", "xn--bcher-kva.example:65535",
		"127.0.0.1:9092", "[::1]:9092", "[fe80::1%eth0]:9092", "3com.example:9092", "kafka-0.kafka.default.svc.cluster.local:9092",
	} {
		a, err := ParseAddress(good)
		if err != nil || a.String() != good {
			t.Errorf("%s: %v, %v", good, a, err)
		}
	}
	for bad, says := range map[string]string{
		"0.0.0.0:9092": "every address of this machine", "[::]:9092": "every address", "[::ffff:0.0.0.0]:9092": "every address",
		"224.0.0.1:9092": "many machines", "255.255.255.255:9092": "many machines", "[ff02::1]:9092": "many machines",
		":9092": "no host", "localhost": "missing port", "localhost:": "1 to 65535", "localhost:0": "1 to 65535",
		"localhost:65536": "1 to 65535", "localhost:http": "1 to 65535", "::1:9092": "too many colons",
		"my broker:9092": "letters, digits", "bröker:9092": "xn--", "a..b:9092": "between two dots", ".:9092": "between two dots",
		"-a:9092": "begins or ends with -", "a-.b:9092": "begins or ends with -", "a\nb:9092": "letters, digits",
		"256.0.0.1:9092": "neither an IP address nor a name", "10.1:9092": "neither", "0:9092": "neither",
		long + ":9092": "253 bytes", strings.Repeat("a", 64) + ":9092": "63 bytes", "PLAINTEXT://a:9092": "too many colons",
	} {
		if a, err := ParseAddress(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v; want it refused, saying %q", bad, a, err, says)
		}
	}
}
