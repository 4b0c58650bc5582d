package main

import (
	"log/slog"
	"os"
	"os/signal"

	"kring"
	"kring/quota"
)

// catchReread catches SIGHUP from here on and keeps it until it is received: a server
// that still loads its data directory must not die of it. The function stops that.
func catchReread() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 1)
	if rereadSignal == nil {
		return signals, func() {}
	}
	signal.Notify(signals, rereadSignal)
	return signals, func() { signal.Stop(signals) }
}

// rereadOnSignal rereads on a signal what may have changed outside: the quota file, and
// the addresses of the hosts of --ip-limit. The returned function stops that.
func (c *serveCmd) rereadOnSignal(signals <-chan os.Signal, log *slog.Logger, server *kring.Server, cfg kring.Config, quotas *quota.Quotas) func() {
	over := make(chan struct{})
	go func() { // a name service may be slow, and must not delay the stop
		for {
			select {
			case <-over:
				return
			case <-signals:
			}
			if c.Quotas.QuotaFile == "" && len(c.Limits.IPLimit) == 0 {
				log.Info("nothing to reread: neither --quota-file nor --ip-limit is set", "signal", rereadSignal.String())
			}
			if c.Quotas.QuotaFile != "" {
				c.rereadQuotas(log, quotas)
			}
			if len(c.Limits.IPLimit) > 0 {
				rereadHosts(log, server, cfg)
			}
		}
	}()
	return func() { close(over) }
}

// rereadQuotas sets the limits of the file as it is now, or leaves them as they are.
func (c *serveCmd) rereadQuotas(log *slog.Logger, quotas *quota.Quotas) {
	limits, err := c.Quotas.limits()
	if err == nil {
		err = quotas.Set(limits)
	}
	if err != nil {
		log.Error("the quotas stay as they were", "file", c.Quotas.QuotaFile, "limits", len(quotas.Limits()), "error", err)
		return
	}
	log.Info("the quotas were read again", "file", c.Quotas.QuotaFile, "limits", len(limits))
}

// rereadHosts resolves the hosts of --ip-limit again.
func rereadHosts(log *slog.Logger, server *kring.Server, cfg kring.Config) {
	if err := server.Reconfigure(cfg); err != nil {
		log.Error("the addresses of --ip-limit stay as they were", "error", inFlags(err))
		return
	}
	log.Info("the hosts of --ip-limit were resolved again")
}
