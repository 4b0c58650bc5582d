package gateway

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/internal/servertest"
)

// takeAnyToken has the brokers of a bed authenticate whoever shows a token.
func takeAnyToken(c *kfake.Cluster) {
	for _, key := range []int16{keySASLHandshake, keySASLAuthenticate} {
		c.ControlKey(key, func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			return req.ResponseKind(), nil, true
		})
	}
}

// goroutinesIn counts the goroutines that are in a function, or below it.
func goroutinesIn(function string) int {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			return strings.Count(string(stacks[:n]), function+"(")
		}
		stacks = make([]byte, 2*len(stacks))
	}
}

// TestATokenSourceThatHangsIsAskedOnce, however many connections need a token and fail for want of
// it; and nobody goes on waiting for a connection that is gone. When it answers after all, clients
// are served.
func TestATokenSourceThatHangsIsAskedOnce(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		var asked, running, most atomic.Int64
		let := make(chan struct{})
		who := &Identity{Name: "who", Mechanism: "OAUTHBEARER", Token: func() (string, error) {
			asked.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			<-let
			return "token", nil
		}}
		b := newBed(t, bedOptions{
			server: func(c *kring.Config) { c.Engine = cfg.Engine },
			gateway: func(c *Config) {
				c.IdentityOf = func(*kring.Conn) *Identity { return who }
				c.Connections, c.Waiting = 2, 2
				c.OpenTimeout, c.BackoffMin, c.BackoffMax = 500*time.Millisecond, time.Millisecond, 2*time.Millisecond
			},
			beforeServing: func(b *bed) { takeAnyToken(b.cluster) },
		})
		ctx := deadline(t)
		await := func(what string, is func() bool) {
			t.Helper()
			for tick := time.NewTicker(time.Millisecond); !is(); <-tick.C {
				if ctx.Err() != nil {
					t.Fatalf("not in time: %s", what)
				}
			}
		}
		client := b.client()
		served := make(chan error, 1)
		go func() { served <- client.Ping(ctx) }()
		failures := func() (n uint64) {
			for _, s := range b.gateway.Stats() {
				n += s.Counts.OpenFailures
			}
			return n
		}
		const many = 8
		await("the source is asked", func() bool { return asked.Load() > 0 })
		before := failures()
		await("connections fail for want of a token", func() bool { return failures() >= before+many })
		await("only connections that there are wait", func() bool { return goroutinesIn("gateway.(*Identity).token") < many })
		if n := asked.Load(); n != 1 {
			t.Errorf("after %d failures the source was asked %d times", many, n)
		}
		close(let)
		await("the client is served", func() bool {
			select {
			case err := <-served:
				if err == nil {
					return true
				}
				go func() { served <- client.Ping(ctx) }()
			default:
			}
			return false
		})
		if most.Load() != 1 {
			t.Errorf("the source was asked %d times at once", most.Load())
		}
	})
}

// TestATokenSourceThatEndsItsGoroutineIsAFailedOne: a waiter of it would wait for ever.
func TestATokenSourceThatEndsItsGoroutineIsAFailedOne(t *testing.T) {
	fail := errors.New("the file is gone")
	for want, source := range map[string]func() (string, error){
		"ended": func() (string, error) { runtime.Goexit(); return "", nil }, "oops": func() (string, error) { panic("oops") },
		fail.Error(): func() (string, error) { return "", fail },
	} {
		who := &Identity{Name: "who", Mechanism: "OAUTHBEARER", Token: source}
		for range 2 {
			if _, err := who.token(deadline(t)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
}
