package sasl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeySetConfig says where keys are from. Only Source is required.
type KeySetConfig struct {
	// Source is a file, or an https URL [sasl.oauthbearer.jwks.endpoint.url]. http is for
	// this machine alone: whoever is on the way could give keys of their own.
	Source string
	// Refresh is how often a URL is fetched [sasl.oauthbearer.jwks.endpoint.refresh.ms]; 0
	// means an hour.
	Refresh time.Duration
	// RefreshMin is the least time between two fetches, whatever clients bring: a token by an
	// unknown key has the set fetched again; 0 means 10 seconds.
	RefreshMin time.Duration
	// Client fetches; nil means one that waits 10 seconds at most, and follows no redirect.
	Client *http.Client
	// Failed, if set, is told that a fetch failed. The keys stay as they were. It is called
	// on the goroutine that fetches, at most once in RefreshMin.
	Failed func(error)
}

const (
	keySetBytesMax    = 1 << 20
	refreshDefault    = time.Hour
	refreshMinDefault = 10 * time.Second
	fetchPatience     = 10 * time.Second
)

// KeySet has the public keys that tokens are signed by. Any goroutine may use it.
type KeySet struct {
	cfg    KeySetConfig
	remote bool
	keys   atomic.Pointer[[]jose.JSONWebKey]

	wanted  chan struct{} // has one while somebody misses a key
	ctx     context.Context
	cancel  context.CancelFunc
	fetches sync.WaitGroup
}

// OpenKeys reads or fetches a key set, which must succeed, until ctx ends. A URL is fetched
// again by a goroutine of the KeySet until Close.
func OpenKeys(ctx context.Context, cfg KeySetConfig) (*KeySet, error) {
	k := &KeySet{cfg: cfg, wanted: make(chan struct{}, 1)}
	if err := k.prepare(); err != nil {
		return nil, fmt.Errorf("sasl: key set %s: %w", k.name(), err)
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	if err := k.fetch(ctx); err != nil {
		k.cancel()
		return nil, err
	}
	if k.remote {
		k.fetches.Go(k.refresh)
	}
	return k, nil
}

func (k *KeySet) prepare() error {
	if k.cfg.Refresh <= 0 {
		k.cfg.Refresh = refreshDefault
	}
	if k.cfg.RefreshMin <= 0 {
		k.cfg.RefreshMin = refreshMinDefault
	}
	if k.cfg.Source == "" {
		return errors.New("no source: give a file or an https URL")
	}
	u, err := url.Parse(k.cfg.Source)
	if err != nil || u.Host == "" {
		return nil // a file
	}
	k.remote = true
	if u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())) {
		return fmt.Errorf("%s is not https, and not on this machine: keys of others could be sent instead; give an https URL", u.Scheme)
	}
	if k.cfg.Client == nil {
		k.cfg.Client = &http.Client{Timeout: fetchPatience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return nil
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Close ends the goroutine that fetches, and waits for it.
func (k *KeySet) Close() {
	k.cancel()
	k.fetches.Wait()
	if k.remote {
		k.cfg.Client.CloseIdleConnections()
	}
}

// Remote says that Source is a URL.
func (k *KeySet) Remote() bool { return k.remote }

// Reload reads the file again, and has a URL fetched soon. With an error the keys stay as
// they were.
func (k *KeySet) Reload() error {
	if k.remote {
		k.want()
		return nil
	}
	return k.fetch(k.ctx)
}

// Prepare is the first half of Reload: it reads the file, and changes nothing.
func (k *KeySet) Prepare() (apply func(), err error) {
	if k.remote {
		return k.want, nil
	}
	keys, err := k.read(k.ctx)
	if err != nil {
		return nil, err
	}
	return func() { k.keys.Store(&keys) }, nil
}

func (k *KeySet) want() {
	select {
	case k.wanted <- struct{}{}:
	default:
	}
}

// refresh fetches by the clock, or when a key is missing; see RefreshMin.
func (k *KeySet) refresh() {
	soonest, latest := time.NewTimer(k.cfg.RefreshMin), time.NewTimer(k.cfg.Refresh)
	defer soonest.Stop()
	defer latest.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-soonest.C:
		}
		select {
		case <-k.ctx.Done():
			return
		case <-latest.C:
		case <-k.wanted:
		}
		if err := k.fetch(k.ctx); err != nil && k.ctx.Err() == nil {
			if k.cfg.Failed != nil {
				k.cfg.Failed(err)
			}
			k.want() // again, as soon as it may
		}
		soonest.Reset(k.cfg.RefreshMin)
		latest.Reset(k.cfg.Refresh)
	}
}

func (k *KeySet) fetch(ctx context.Context) error {
	keys, err := k.read(ctx)
	if err == nil {
		k.keys.Store(&keys)
	}
	return err
}

// name is Source without what may be secret in a URL.
func (k *KeySet) name() string {
	u, err := url.Parse(k.cfg.Source)
	if err != nil || u.Host == "" {
		return k.cfg.Source
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (k *KeySet) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	text, err := k.text(ctx)
	var keys []jose.JSONWebKey
	if err == nil {
		keys, err = parseKeys(text)
	}
	if err != nil {
		return nil, fmt.Errorf("sasl: key set %s: %w", k.name(), err)
	}
	return keys, nil
}

func (k *KeySet) text(ctx context.Context) ([]byte, error) {
	var from io.ReadCloser
	if k.remote {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.cfg.Source, nil)
		if err != nil {
			return nil, errors.New("it is no URL")
		}
		response, err := k.cfg.Client.Do(request)
		if err != nil {
			return nil, bare(err)
		}
		from = response.Body
		if response.StatusCode != http.StatusOK {
			return nil, errors.Join(fmt.Errorf("the server answers %d", response.StatusCode), from.Close())
		}
	} else {
		f, err := os.Open(k.cfg.Source)
		if err != nil {
			return nil, err
		}
		from = f
	}
	defer func() { _ = from.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(from, keySetBytesMax+1))
	if err == nil && len(text) > keySetBytesMax {
		err = fmt.Errorf("more than %d bytes", keySetBytesMax)
	}
	return text, err
}

// bare is an error of net/http without the URL, which may have a password in it.
func bare(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("no answer in time")
	}
	return err
}

// find returns the key of an id for an algorithm; nil: there is none, and a URL is fetched
// again. A token without an id can be of the only key that there is.
func (k *KeySet) find(id, algorithm string) any {
	keys := *k.keys.Load()
	if id == "" && len(keys) == 1 {
		id = keys[0].KeyID
	}
	for i := range keys {
		key := &keys[i]
		if key.KeyID == id && (key.Algorithm == "" || key.Algorithm == algorithm) {
			return key.Key
		}
	}
	if id != "" && k.remote {
		k.want()
	}
	return nil
}
