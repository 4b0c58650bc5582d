package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"kring/gateway"
)

// upstreamFiles are what a gateway reads of how it gets to the brokers.
type upstreamFiles struct {
	tls         *tls.Config          // nil: there is none
	credentials *gateway.Credentials // nil: nobody for all
}

// read reads them all, or says what is wrong with one.
func (u *upstreamFlags) read() (f upstreamFiles, err error) {
	if f.tls, err = u.tlsConfig(); err != nil {
		return f, err
	}
	f.credentials, err = u.credentials()
	return f, err
}

// reread has the files of --upstream-* be read again, as a whole: for connections that are made
// from then on. now is who the gateway is, nil where it is nobody.
func (u *upstreamFlags) reread(now *atomic.Pointer[gateway.Credentials], dialer *gateway.ServerDialer) reloadable {
	var watched []string
	for _, file := range []string{u.UpstreamCA, u.UpstreamCert, u.UpstreamKey, u.UpstreamCredentials, u.UpstreamPassword.file()} {
		if file != "" {
			watched = append(watched, file)
		}
	}
	return reloadable{
		again: "the files of --upstream-* were read again", kept: "the files of --upstream-* stay as they were",
		quiet:   func() bool { return len(watched) == 0 },
		watched: watched,
		prepare: func() (func() error, error) {
			next := *u // a password that can't be read leaves the one that there is
			if err := next.UpstreamPassword.reread(); err != nil {
				return nil, fmt.Errorf("--upstream-password: %w", err)
			}
			files, err := next.read()
			if err != nil {
				return nil, err
			}
			return func() error {
				dialer.SetTLS(files.tls)
				if old := now.Load(); old != nil && files.credentials != nil {
					files.credentials.Succeed(old)
					now.Store(files.credentials)
				}
				return nil
			}, nil
		},
	}
}
