// Package cgroup reads what limits this process: the cgroups around it, and the
// machine's memory.
//
// Job: find the folders of the cgroups that hold a controller for this process
// (version 1 and 2), and the smallest memory limit of them.
//
// Flow: Dirs reads /proc/self/cgroup; MemoryLimit and MachineMemory read one file
// for each folder, and /proc/meminfo.
//
// Ownership: everything is a value; nothing is kept open.
//
// Never: write; fail because a file is missing: what can't be read limits nothing.
//
// Kernel: cgroups(7). Without /proc nothing is known.
package cgroup
