//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kring"
	"kring/internal/replay"
	"kring/record"
	"kring/reqchan"
)

// replayed runs kring replay, with a report for programs.
func replayed(t *testing.T, into any, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(append([]string{"replay", "-o", "json"}, args...), nil, &stdout, &stderr, nil); status != exitOK {
		t.Fatalf("%q: exit status %d\n%s%s", args, status, stdout.String(), stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		t.Fatalf("%v in %s", err, stdout.String())
	}
}

func (c *child) terminate() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		c.t.Errorf("exit status %d:\n%s", status, c.stderr.String())
	}
}

// TestNoSecretOfClientsIsInARecording, with payloads, by whatever door it comes; and the
// recording is played to a server that wants SASL too.
func TestNoSecretOfClientsIsInARecording(t *testing.T) {
	users, file := writeUsers(t), filepath.Join(t.TempDir(), "traffic")
	secure := []string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", "--users", users}
	c := start(t, append([]string{"serve", "--record", file, "--record-payloads"}, secure...)...)
	c.awaitReady()
	login := kgo.SASL(plain.Auth{User: "alice", Pass: canaryPassword}.AsMechanism())
	produceAndConsume(t, c.addr, login, kgo.FetchMaxWait(100*time.Millisecond))
	produceAndConsume(t, c.addr, kgo.SASL(scram.Auth{User: "alice", Pass: canaryPassword}.AsSha512Mechanism()), kgo.FetchMaxWait(100*time.Millisecond))
	sendSecrets(t, c.addr, login)
	c.terminate()

	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(canaryPassword)) || !bytes.Contains(b, []byte("here")) {
		t.Error("a secret is in the recording, or the payload of a record is not")
	}
	var is recordingJSON
	replayed(t, &is, file, "--dry-run")
	seen := map[string]uint64{}
	for _, a := range is.APIs {
		seen[a.Name] = a.Requests
	}
	for _, api := range []string{"SASLAuthenticate", "AlterUserSCRAMCredentials", "IncrementalAlterConfigs", "AlterConfigs", "CreateTopics", "Produce"} {
		if seen[api] == 0 {
			t.Errorf("no %s was recorded: %v", api, seen)
		}
	}

	other := start(t, append([]string{"serve"}, secure...)...)
	other.awaitReady()
	var r replay.Report
	replayed(t, &r, file, "--target", other.addr, "--create-topics", "--speed", "max", "--sasl", "SCRAM-SHA-256", "--user", "alice", "--password", canaryPassword)
	if r.Unanswered > 0 || r.ConnectFailures > 0 || r.Sent == 0 || r.Answered != r.Sent {
		t.Errorf("%+v", r)
	}
	other.terminate()
}

// sendSecrets puts the canary into every request that may have a secret.
func sendSecrets(t *testing.T, address string, opts ...kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address), kgo.RetryTimeout(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	value := canaryPassword
	name := "listener.name.x.ssl.keystore.password"
	users := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	users.Upsertions = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{{Name: "bob", Mechanism: 1, Iterations: 4096, Salt: []byte(value), SaltedPassword: []byte(value)}}
	more, all, topics := kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrCreateTopicsRequest()
	more.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 4, ResourceName: "0", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Value: &value}}}}
	all.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 4, ResourceName: "0", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: name, Value: &value}}}}
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "secret", 1, 1
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: &value}}
	topics.Topics = append(topics.Topics, topic)
	token, renew, expire := kmsg.NewPtrCreateDelegationTokenRequest(), kmsg.NewPtrRenewDelegationTokenRequest(), kmsg.NewPtrExpireDelegationTokenRequest()
	renew.HMAC, expire.HMAC = []byte(value), []byte(value)
	push := kmsg.NewPtrPushTelemetryRequest()
	push.Metrics = []byte(value)
	for _, q := range []kmsg.Request{users, more, all, topics, token, renew, expire, push} {
		// What the server thinks of it does not matter, or whether it serves it at all.
		_, _ = cl.Request(t.Context(), q)
	}
}

// TestAGatewayRecordsAsAServerDoes, and what it has recorded is played against the server behind
// it.
func TestAGatewayRecordsAsAServerDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "traffic")
	behind := serve(t)
	c, at := startGateway(t, behind.addr, "--record", file)
	produceAndConsume(t, at, kgo.FetchMaxWait(100*time.Millisecond))
	c.terminate()
	var r replay.Report
	replayed(t, &r, file, "--target", behind.addr, "--speed", "1000x")
	sent := map[string]uint64{}
	for _, a := range r.APIs {
		sent[a.Name] = a.Sent
	}
	if sent["Produce"] != 1 || sent["Fetch"] == 0 || sent["Metadata"] == 0 || r.Unanswered > 0 || r.Recording.Lost > 0 {
		t.Errorf("%+v", r)
	}
	behind.terminate()
}

// TestARecordingNeverKeepsAServerFromServing: not when it has reached its bound, and not when there
// are recordings of that name already. A folder that is not there is a mistake.
func TestARecordingNeverKeepsAServerFromServing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "traffic")
	c := serve(t, "--handler", "null", "--record", file, "--record-max", "64KiB")
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ask := func() {
		t.Helper()
		q := kmsg.NewPtrListOffsetsRequest()
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = strings.Repeat("x", 249)
		q.Topics = append(q.Topics, topic)
		if _, err := cl.Broker(0).Request(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for range 64 << 10 / 249 {
		ask()
	}
	c.logged("recording has ended at --record-max; serving goes on")
	ask()
	cl.Close()
	c.terminate()
	if info, err := os.Stat(file); err != nil || info.Size() > 64<<10 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	for n := range 9 {
		if err := os.WriteFile(file+"."+string(rune('1'+n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c = serve(t, "--handler", "null", "--record", file)
	c.logged("nothing is recorded")
	c.terminate()
	var stderr bytes.Buffer
	if status := run([]string{"serve", "--listen", "127.0.0.1:0", "--handler", "null", "--record", filepath.Join(file, "x")}, nil, new(bytes.Buffer), &stderr, nil); status != exitUsage || !strings.Contains(stderr.String(), "--record") {
		t.Errorf("exit status %d, %s", status, stderr.String())
	}
}

// TestARecordingWithoutARequestIsRemoved: at the end, and when the server can't start. Else starts that
// fail use up the names of recordings.
func TestARecordingWithoutARequestIsRemoved(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "traffic")
	there := func(when string, want ...string) {
		t.Helper()
		found, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s there are %q, want %q", when, names, want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for range 12 {
		var stderr bytes.Buffer
		if status := run([]string{"serve", "--handler", "null", "--listen", taken.Addr().String(), "--record", file}, nil, new(bytes.Buffer), &stderr, nil); status != exitFailure {
			t.Fatalf("exit status %d, %s", status, stderr.String())
		}
	}
	there("after starts that failed")
	c := serve(t, "--handler", "null", "--record", file)
	_ = dial(t, c.addr) // says nothing
	there("while it records", "traffic")
	c.terminate()
	there("after nobody asked anything")
	c = serve(t, "--handler", "null", "--record", file)
	if err := os.Rename(file, file+".kept"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, []byte("of somebody else"))
	c.terminate()
	there("after another file had its name", "traffic", "traffic.kept")
	if err := errors.Join(os.Remove(file), os.Remove(file+".kept")); err != nil {
		t.Fatal(err)
	}
	c = serve(t, "--handler", "null", "--record", file)
	ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
	c.terminate()
	there("after a request", "traffic")
}

// fullDisk takes the first bytes that are written to it.
type fullDisk struct {
	*os.File
	room int
}

func (f *fullDisk) Write(b []byte) (int, error) {
	n, err := f.File.Write(b[:min(len(b), f.room)])
	if f.room -= n; err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

// TestARecordingThatTheDiskHadNoRoomForIsRemoved: starts on a full disk do not use up the names. What has
// a request stays.
func TestARecordingThatTheDiskHadNoRoomForIsRemoved(t *testing.T) {
	const most = 1 << 10
	stays := 0
	for room := range most {
		file, err := record.Create(filepath.Join(t.TempDir(), "traffic"))
		if err != nil {
			t.Fatal(err)
		}
		r := &recording{name: file.Name(), log: slog.New(slog.DiscardHandler)}
		if r.file, err = file.Stat(); err != nil {
			t.Fatal(err)
		}
		if r.to, err = record.New(&fullDisk{file, room}, record.Config{Software: "test"}); err != nil {
			t.Fatal(err)
		}
		h := r.to.Handler(kring.HandlerFunc(func(q kring.Request) { q.NoResponse() }))
		for range 16 {
			j := reqchan.NewJob(new(kring.Conn), kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrListGroupsRequest(), 1))
			j.Begin(nil, nil)
			h.Handle(j.Request())
		}
		r.end()
		has := false
		if f, err := os.Open(r.name); err == nil {
			s, _ := replay.Scan(t.Context(), f)
			if has = s != nil && s.Requests > 0; !has {
				t.Errorf("with room for %d bytes a file without a request stays", room)
			}
			_ = f.Close()
		}
		if has {
			stays++
		}
	}
	if stays == 0 || stays == most {
		t.Errorf("of %d files %d stay: nothing was tested", most, stays)
	}
}

// TestFaultsOfReplayNameTheFlag, each with its remedy.
func TestFaultsOfReplayNameTheFlag(t *testing.T) {
	to := func(args ...string) []string { return append([]string{"replay", "f", "--target", "h:1"}, args...) }
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"replay", "f"}, "--target: there is nobody"},
		{[]string{"replay", "f", "--target", "h"}, `--target "h"`},
		{to("--speed", "fast"), `--speed "fast"`},
		{to("--speed", "0x"), `--speed "0x"`},
		{to("--connections-per", "0"), "--connections-per 0"},
		{to("--timeout", "0s"), "--timeout 0s"},
		{to("--ca", "f"), "give --tls"},
		{to("--sasl", "GSSAPI"), "--sasl: "},
		{to("--sasl", "pass"), "--sasl pass"},
		{to("--user", "u"), "--sasl: a user"},
		{[]string{"serve", "--record-max", "1GiB"}, "give --record FILE"},
		{[]string{"serve", "--record", "f", "--record-max", "1"}, "--record-max 1"},
		{[]string{"serve", "--record", "f", "--handler", "echo"}, "--handler echo"},
	} {
		var stderr bytes.Buffer
		if command, status := parse(tt.args, settingsOf(nil), new(bytes.Buffer), &stderr); command != nil || status != exitUsage || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: %s", tt.args, stderr.String())
		}
	}
	for file, want := range map[string]string{"/nowhere/at/all": "give a file", os.Args[0]: "does not begin as one"} {
		var stderr bytes.Buffer
		if status := run([]string{"replay", file, "--dry-run"}, nil, new(bytes.Buffer), &stderr, nil); status != exitFailure || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit status %d, %s", file, status, stderr.String())
		}
	}
}

// TestAReplayOfWhatIsNoFileIsRefused: it is read twice, and of a pipe the end may never come.
func TestAReplayOfWhatIsNoFileIsRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"replay", pipe, "--dry-run"}, {"replay", pipe, "--target", "127.0.0.1:1"}, {"replay", t.TempDir(), "--dry-run"}} {
		ended := make(chan int, 1)
		var stderr bytes.Buffer
		go func() { ended <- run(args, nil, new(bytes.Buffer), &stderr, nil) }()
		select {
		case status := <-ended:
			if status != exitFailure || !strings.Contains(stderr.String(), "not a regular file") {
				t.Errorf("%q: exit status %d, %s", args, status, stderr.String())
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q waits for somebody who writes", args)
		}
	}
}

// TestTheReportsCanBeRead by people.
func TestTheReportsCanBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "traffic")
	c := serve(t, "--record", file)
	produceAndConsume(t, c.addr, kgo.FetchMaxWait(100*time.Millisecond))
	c.terminate()
	c = serve(t)
	for _, tt := range []struct {
		args  []string
		wants []string
	}{
		{[]string{"--dry-run"}, []string{"without payloads", "Produce", "JoinGroup", "no: members of groups are those of the recording", "partitions"}},
		{[]string{"--target", c.addr, "--create-topics", "--speed", "max"}, []string{"at speed max", "recorded p50", "Produce", " not sent: members of groups"}},
		{[]string{"--target", c.addr, "--speed", "500x"}, []string{"at speed 500x", "sent behind time", "from when each request was due"}},
	} {
		var stdout, stderr bytes.Buffer
		status := run(append([]string{"replay", file}, tt.args...), nil, &stdout, &stderr, nil)
		for _, want := range tt.wants {
			if status != exitOK || !strings.Contains(stdout.String(), want) {
				t.Errorf("%q: exit status %d, without %q:\n%s%s", tt.args, status, want, stdout.String(), stderr.String())
			}
		}
	}
	c.terminate()
}
