package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"kring/internal/replay"
	"kring/kafka"
)

// replayCmd is `kring replay`.
type replayCmd struct {
	File           string        `arg:"" placeholder:"FILE" help:"Recording, from --record of kring serve or kring gateway."`
	Target         string        `placeholder:"HOST:PORT" help:"Server to play it against. If it is of a cluster of several brokers, requests go to the leaders of their partitions, by the addresses that the cluster advertises. Needed without --dry-run."`
	DryRun         bool          `help:"Say what is in the recording, and end."`
	Speed          string        `placeholder:"SPEED" default:"1x" help:"How fast: 1x as it was recorded, 2x twice as fast, 0.5x half as fast; max: each connection sends its next request when the last one is answered. Default: ${default}."`
	ConnectionsPer int           `placeholder:"N" default:"1" help:"Connections that play what one did, each all of it: N times the load. Default: ${default}."`
	Timeout        time.Duration `placeholder:"DURATION" default:"30s" help:"How long an answer may take, beyond what its request asks to wait. Then its connection is closed. Default: ${default}."`
	CreateTopics   bool          `help:"Create the topics of the recording that the target lacks, with as many partitions. Default: requests that name them are left out."`
	Output         string        `short:"o" enum:"text, json" default:"text" help:"Format of the report: ${enum}. docs/record.md names the fields. Default: ${default}."`

	TLS        bool   `name:"tls" help:"Speak TLS with the target."`
	CA         string `name:"ca" placeholder:"FILE" help:"Certificates (PEM) that sign the target's. Default: the system's."`
	Cert       string `placeholder:"FILE" help:"Certificate (PEM) to show the target (mutual TLS)."`
	Key        string `placeholder:"FILE" help:"Its key (PEM)."`
	ServerName string `placeholder:"NAME" help:"Name that the target's certificate is for. Default: the host of --target."`

	SASL      string `name:"sasl" placeholder:"MECHANISM" help:"Authenticate by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, each connection as the same user. Default: not at all."`
	User      string `placeholder:"NAME" help:"User for PLAIN and SCRAM."`
	Password  secret `placeholder:"SECRET" help:"Its password, or file:PATH."`
	TokenFile string `placeholder:"FILE" help:"File with the token for OAUTHBEARER."`
}

// Help is the text above the flags.
func (replayCmd) Help() string {
	return `Sends what a recording has at the times that it came, on as many connections, whether or not earlier answers are there (an open loop). Latency is from when a request was due, so that a target that falls behind shows it. docs/record.md says what of each API is played.

Examples:

    kring serve --record traffic.krec
    kring replay traffic.krec --dry-run
    kring replay traffic.krec --target 127.0.0.1:9092 --create-topics
    kring replay traffic.krec --target broker1:9093 --tls --sasl SCRAM-SHA-512 --user load --password file:secret --speed 4x -o json

Exit status: 0 when all that was sent was answered, with whatever error codes, 1 otherwise, 2 for a wrong setting.`
}

// Validate checks the flags together; kong calls it.
func (c *replayCmd) Validate() error {
	var faults []error
	if _, err := c.speed(); err != nil {
		faults = append(faults, err)
	}
	if c.ConnectionsPer < 1 || c.ConnectionsPer > 1000 {
		faults = append(faults, fmt.Errorf("--connections-per %d: give 1 to 1000", c.ConnectionsPer))
	}
	if c.Timeout < time.Millisecond {
		faults = append(faults, fmt.Errorf("--timeout %v: give 1ms or more", c.Timeout))
	}
	if _, err := kafka.ParseAddress(c.Target); c.Target != "" && err != nil {
		faults = append(faults, fmt.Errorf("--target %q: %w; give HOST:PORT", c.Target, err))
	}
	if c.Target == "" && !c.DryRun {
		faults = append(faults, errors.New("--target: there is nobody to play it against; give --target HOST:PORT, or --dry-run to see what is in it"))
	}
	if c.SASL == saslPass {
		faults = append(faults, fmt.Errorf("--sasl %s: clients' own exchanges are not recorded; name a mechanism", saslPass))
	}
	u := c.upstream()
	for _, err := range u.validateSecurity() {
		faults = append(faults, c.inFlags(err))
	}
	return errors.Join(faults...)
}

// upstream is the target as kring gateway has it, whose flags begin with --upstream-.
func (c *replayCmd) upstream() *upstreamFlags {
	return &upstreamFlags{
		UpstreamTLS: c.TLS, UpstreamCA: c.CA, UpstreamCert: c.Cert, UpstreamKey: c.Key, UpstreamServerName: c.ServerName,
		UpstreamSASL: c.SASL, UpstreamUser: c.User, UpstreamPassword: c.Password, UpstreamTokenFile: c.TokenFile, UpstreamMode: "dedicated",
	}
}

func (c *replayCmd) inFlags(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "--upstream-", "--"))
}

// speed is 0 for max.
func (c *replayCmd) speed() (float64, error) {
	if c.Speed == "max" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(c.Speed, "x"), 64)
	if err != nil || !(v > 0 && v <= 1000) {
		return 0, fmt.Errorf("--speed %q: give a factor up to 1000, such as 1x or 0.5x, or max", c.Speed)
	}
	return v, nil
}

// Run plays, or says what would be.
func (c *replayCmd) Run(p process) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case s := <-p.signals:
			cancel(fmt.Errorf("ended by signal %q", s))
		case <-over:
		}
	}()
	if c.DryRun {
		return c.dryRun(ctx, p)
	}
	cfg, err := c.config()
	if err != nil {
		return usageError{err}
	}
	cfg.Notice = func(text string) { fmt.Fprintln(p.stderr, "kring:", oneLine(text)) }
	report, err := replay.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		err = writeJSON(p.stdout, report)
	} else {
		err = writeReplay(p.stdout, report)
	}
	if err == nil && (report.Unanswered > 0 || report.Interrupted) {
		return statusError(exitFailure)
	}
	return err
}

// open opens the recording. Of what is no regular file the end may never come, and it could not be read a
// second time.
func (c *replayCmd) open() (io.ReadCloser, error) {
	info, err := os.Stat(c.File)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file, and a recording is read twice", c.File)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; give a file that --record has written", err)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("%w; give a file that --record has written", err)
	}
	return f, nil
}

func (c *replayCmd) config() (replay.Config, error) {
	u := c.upstream()
	secure, err := u.tlsConfig()
	if err != nil {
		return replay.Config{}, c.inFlags(err)
	}
	id, err := u.identity()
	if err != nil {
		return replay.Config{}, c.inFlags(err)
	}
	cfg := replay.Config{Open: c.open, Target: c.Target, Dial: dialTarget(secure), ConnectionsPer: c.ConnectionsPer, Timeout: c.Timeout, CreateTopics: c.CreateTopics}
	cfg.Speed, _ = c.speed() // Validate has looked
	if id != nil {
		cfg.Mechanism, cfg.Login = id.Mechanism, id.Login
	}
	return cfg, nil
}

// dialTarget connects, with TLS unless secure is nil.
func dialTarget(secure *tls.Config) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if secure == nil {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
		return (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", address)
	}
}
