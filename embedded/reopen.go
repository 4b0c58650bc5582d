package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// After a failed write kfake's memory and the disk differ: it takes a batch that
// it could not write for one that it has, and would answer the producer's retry
// as a duplicate; it holds a transaction for committed of which a partition knows
// nothing. What is on disk is what was acknowledged, so the directory is loaded
// anew, as after kill -9, once it can be written again.

const (
	reopenPauseMin = 100 * time.Millisecond
	reopenPauseMax = 30 * time.Second
	// reopenCalm is how long a cluster that was loaded anew must have kept
	// everything, for the next failure to be taken for the first one.
	reopenCalm = 10 * time.Second
	probeBytes = 64 << 10
)

// watchStore starts the goroutine that loads the directory anew after a failed
// write; Close ends it.
func (c *Cluster) watchStore() {
	if c.cfg.DataDir == "" {
		return
	}
	c.watching.Go(func() {
		var since time.Time
		pause := reopenPauseMin
		look := time.NewTicker(filesLook)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				c.giveBackFiles()
				continue
			case <-c.store.failed:
			case <-c.closing:
				return
			}
			if time.Since(since) > reopenCalm {
				pause = reopenPauseMin
			}
			if pause = c.reopenUntilOpen(pause); pause == 0 {
				return
			}
			since = time.Now()
		}
	})
}

// reopenUntilOpen returns how long to wait before the next attempt, if this one
// fails soon; 0 when it is over.
func (c *Cluster) reopenUntilOpen(pause time.Duration) time.Duration {
	for tries := 0; ; tries++ {
		select {
		case <-time.After(pause):
		case <-c.closing:
			return 0
		}
		err := c.probe()
		if err == nil {
			pause = min(2*pause, reopenPauseMax)
			err = c.reopen()
		}
		switch {
		case err == nil:
			c.log.Info("the data directory was loaded anew: writing goes on", "dir", c.cfg.DataDir)
			return pause
		case errors.Is(err, errNotHere):
			c.log.Error("start kring again to go on writing", "dir", c.cfg.DataDir, "error", err)
			return 0
		case tries == 0:
			c.log.Warn("the data directory can't be written yet", "dir", c.cfg.DataDir, "error", err)
		}
	}
}

// probe is nil when the data directory has room and takes a file.
func (c *Cluster) probe() error {
	if err := c.store.room(growthBytes); err != nil {
		return err
	}
	path := filepath.Join(c.cfg.DataDir, ".kring.probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, c.syncs.file(f), f.Close(), os.Remove(path))
}

var errNotHere = errors.New("a running cluster can't be separated from its data directory on this system")

// reopen loads the data directory anew. Clients that ask meanwhile wait, until
// kfake has what it does not read from disk, and we know what it has read.
func (c *Cluster) reopen() error {
	c.restoring.Lock()
	defer c.restoring.Unlock()
	failures := c.store.failures.Load()
	if err := c.reload(); err != nil {
		return err
	}
	c.inside.again()
	_, err := c.clientQuotas.load(c.inside.ask) // an alteration that was refused may be in force
	if err := errors.Join(err, c.settings.load(), c.restoreShares()); err != nil {
		return err
	}
	if !c.store.opened(failures) {
		return errWriteFailed
	}
	return nil
}

func (c *Cluster) reload() error {
	c.live.Lock()
	defer c.live.Unlock()
	if !c.abandon() {
		return errNotHere
	}
	if err := c.syncs.rewriteSuspects(); err != nil {
		return fmt.Errorf("write again what may not be on disk: %w", err)
	}
	c.kfakeLog = &logger{to: c.log, store: c.store}
	if err := c.recoverDir(); err != nil {
		return err
	}
	before := c.listener
	c.listener = newListener()
	c.listener.advertise(*before.advertised.Load())
	return c.load()
}

// abandon ends kfake without letting it save; false where that can't be, and
// kfake goes on. The caller holds live, or is the last who uses the cluster.
func (c *Cluster) abandon() bool {
	if c.kfake == nil {
		return true // and could not be loaded since
	}
	if !c.dir.cut() {
		return false
	}
	c.kfakeLog.closed.Store(true)
	c.sessions.Lock()
	for s := range c.sessions.open {
		s.interrupt()
	}
	c.sessions.Unlock()
	c.kfake.Close()
	c.dir.close()
	c.kfake = nil
	return true
}

// giveUp ends kfake after a start that failed: what it would save is half of what
// it is to know. Where it can't be kept from that, it saves.
func (c *Cluster) giveUp() {
	if !c.abandon() {
		c.kfake.Close()
		c.dir.close()
		c.kfake = nil
	}
}

// connectTo connects a client's session to kfake. Until the directory was loaded
// anew, and kfake told what is not on disk, it waits.
func (c *Cluster) connectTo(client netip.AddrPort) (net.Conn, error) {
	c.restoring.RLock()
	defer c.restoring.RUnlock()
	return c.dial(client)
}

// dial connects to kfake. While the directory is loaded anew, it waits.
func (c *Cluster) dial(client netip.AddrPort) (net.Conn, error) {
	c.live.RLock()
	defer c.live.RUnlock()
	if c.kfake == nil {
		return nil, errWriteFailed
	}
	return c.listener.dial(client)
}

// ofKfake has f ask kfake as it runs now. While the directory is loaded anew it waits,
// and where that failed it is the zero value: kfake knows nothing then. A kfake that
// has ended would never answer. f must not need ofKfake itself.
func ofKfake[T any](c *Cluster, f func(*kfake.Cluster) T) (t T) {
	c.live.RLock()
	defer c.live.RUnlock()
	if c.kfake != nil {
		t = f(c.kfake)
	}
	return t
}

func (c *Cluster) topicInfo(topic string) *kfake.TopicInfo {
	return ofKfake(c, func(k *kfake.Cluster) *kfake.TopicInfo { return k.TopicInfo(topic) })
}

func (c *Cluster) partitionInfo(topic string, partition int32) *kfake.PartitionInfo {
	return ofKfake(c, func(k *kfake.Cluster) *kfake.PartitionInfo { return k.PartitionInfo(topic, partition) })
}

func (c *Cluster) groupInfo(group string) *kfake.GroupInfo {
	return ofKfake(c, func(k *kfake.Cluster) *kfake.GroupInfo { return k.GroupInfo(group) })
}

func (c *Cluster) partitionInfos(topic string) []*kfake.PartitionInfo {
	return ofKfake(c, func(k *kfake.Cluster) []*kfake.PartitionInfo { return k.PartitionInfos(topic) })
}
