//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A cage takes something from a process before it becomes kring, as container
// runtimes and limits do. The test binary enters it when it is called caged:
// "caged CAGE ARGS...", CAGE being memlock, nofile, nofile=N
// or nofile=SOFT:HARD, fsize, nodev (an empty
// /dev, for root), filter=FILE with a seccomp filter as JSON, or sync (see
// syncGuard).
const caged = "kring-caged"

// cageNofile is enough for a Go program to start, and for little else. The
// runtime keeps two descriptors where cgroup v1 limits the CPU, one under v2.
const cageNofile = 11

// cageFsize is how long a file may become: a few hundred records.
const cageFsize = 512 << 10

func init() {
	if len(os.Args) < 3 || os.Args[0] != caged {
		return
	}
	runtime.LockOSThread() // what is taken from a thread stays taken when it executes
	err := enter(os.Args[1])
	if err == nil {
		err = syscall.Exec("/proc/self/exe", append([]string{"kring"}, os.Args[2:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "the cage does not close:", err)
	os.Exit(99)
}

func enter(cage string) error {
	name, file, _ := strings.Cut(cage, "=")
	switch name {
	case "memlock":
		// Root would keep CAP_IPC_LOCK, which no limit binds; who may not drop
		// it does not have it.
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_IPC_LOCK, 0, 0, 0)
		return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{})
	case "nofile":
		limit := unix.Rlimit{Cur: cageNofile, Max: cageNofile}
		if soft, hard, two := strings.Cut(file, ":"); file != "" {
			limit.Cur, _ = strconv.ParseUint(soft, 10, 32)
			if limit.Max = limit.Cur; two {
				limit.Max, _ = strconv.ParseUint(hard, 10, 32)
			}
		}
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	case "nodev":
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		return unix.Mount("none", "/dev", "tmpfs", 0, "")
	case "fsize":
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: cageFsize, Max: cageFsize})
	case "filter":
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var filter []unix.SockFilter
		if err := json.Unmarshal(text, &filter); err != nil {
			return err
		}
		return install(filter)
	case "sync":
		return letSyncBeAsked()
	}
	return fmt.Errorf("no cage is called %q", cage)
}

func install(filter []unix.SockFilter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Sound: the program is read during the call.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// startCaged prepares kring in a cage.
func startCaged(t *testing.T, cage string, args ...string) *child {
	t.Helper()
	c := start(t)
	c.cmd.Args = append([]string{caged, cage}, args...)
	return c
}

// filterCage writes a filter for a cage.
func filterCage(t *testing.T, filter []unix.SockFilter) string {
	t.Helper()
	text, err := json.Marshal(filter)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "filter.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "filter=" + file
}

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArgs   = 16
)

func loadWord(off uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
}

// argument is the offset of the lower half of an argument.
func argument(i uint) uint32 {
	low := uint32(0)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		low = 4
	}
	return offArgs + 8*uint32(i) + low
}

// unlessEqual skips n instructions unless the loaded word is k.
func unlessEqual(k uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: n}
}

func and(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: k}
}

func answer(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
}

// denying answers io_uring's three system calls with errno and allows the rest.
func denying(errno unix.Errno) []unix.SockFilter {
	filter := []unix.SockFilter{loadWord(offNumber)}
	for _, nr := range []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER} {
		filter = append(filter, unlessEqual(nr, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(errno)))
	}
	return append(filter, answer(unix.SECCOMP_RET_ALLOW))
}
