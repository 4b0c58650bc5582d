package gateway

import (
	"math/rand/v2"
	"testing"

	"kring"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWhateverHappensTheGatewayKeepsItsPromises plays random stories; see stage.
func TestWhateverHappensTheGatewayKeepsItsPromises(t *testing.T) {
	for seed := range uint64(600) {
		if !t.Run("", func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			script := make([]byte, 2*(20+r.IntN(300)))
			for i := range script {
				script[i] = byte(r.Uint32())
			}
			play(t, script, seed%3 == 0, seed%2 == 0)
		}) {
			t.Fatalf("seed %d", seed)
		}
	}
}

// play plays script. apart: connections are apart by client id, and authenticate again every
// 20 seconds.
func play(t testing.TB, script []byte, dedicated, apart bool) {
	s := newStage(t, func(c *Config) {
		if dedicated {
			c.Mode, c.Dedicated = Dedicated, 5
		}
		if apart {
			who := &Identity{Mechanism: "PLAIN", User: "u", Password: "p"}
			c.PoolByClientID, c.IdentityOf = true, func(*kring.Conn) *Identity { return who }
		}
	})
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if a, is := resp.(*kmsg.SASLAuthenticateResponse); is {
			a.SessionLifetimeMillis = 20_000
		}
	}
	s.play(script)
	s.finish()
}

func FuzzGateway(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		script := make([]byte, 200)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		f.Add(script, r.IntN(2) == 0, r.IntN(2) == 0)
	}
	f.Fuzz(func(t *testing.T, script []byte, dedicated, apart bool) {
		if len(script) > 4000 {
			return
		}
		play(t, script, dedicated, apart)
	})
}
