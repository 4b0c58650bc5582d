//go:build linux

package uring

import (
	"os"
	"strings"
)

// KernelThreads counts the threads that the kernel has started for the rings of
// this process: io-wq's (iou-wrk), for operations that can't wait by poll, and
// SQPOLL's (iou-sqp).
func KernelThreads() int {
	tasks, _ := os.ReadDir("/proc/self/task")
	n := 0
	for _, t := range tasks {
		if strings.HasPrefix(readProc("/proc/self/task/"+t.Name()+"/comm"), "iou-") {
			n++
		}
	}
	return n
}
