//go:build linux

package uring

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// bind keeps the thread of a locked engine on one of Config.CPUs, in turn. None by
// default: the scheduler could not move the engine away from what else needs that CPU.
func (n *Network) bind(e *ringEngine, w engine.Wait) error {
	cpus := e.config.CPUs
	if w != engine.WaitLocked || len(cpus) == 0 {
		return nil
	}
	return e.bind(cpus[int(n.opened.Add(1)-1)%len(cpus)])
}

// bind keeps the owner's thread on one CPU, until unbind.
func (e *ringEngine) bind(cpu int) error {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("uring: sched_getaffinity: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("uring: CPU %d: sched_setaffinity: %w", cpu, err)
	}
	e.unbound = &before
	return nil
}

// unbind lets the thread go where it could before: it outlives the engine.
func (e *ringEngine) unbind() error {
	if e.unbound == nil {
		return nil
	}
	err := unix.SchedSetaffinity(0, e.unbound)
	e.unbound = nil
	return err
}

// checkCPUs asks for each of them, so that a wrong one fails New and not the
// engine that would be bound to it.
func (c *Config) checkCPUs() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, of := range []struct {
		field string
		cpus  []int
	}{{"CPUs", c.CPUs}, {"SQPollCPUs", c.SQPollCPUs}} {
		for _, cpu := range of.cpus {
			var e ringEngine
			if err := e.bind(cpu); err != nil {
				return settingError{fmt.Errorf("uring: Config.%s has %d, which can't be had (%w): name CPUs that this process may use (nproc, taskset -p $$; %d of them)", of.field, cpu, err, runtime.NumCPU())}
			}
			if err := e.unbind(); err != nil {
				return fmt.Errorf("uring: sched_setaffinity: %w", err)
			}
		}
	}
	return nil
}
