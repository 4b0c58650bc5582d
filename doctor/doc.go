// Package doctor says what a machine can do for kring, and what stands in the
// way.
//
// Job: look at the kernel, this process, its container and its limits; ask the
// kernel for every feature; ask the server which engine it would choose; turn
// what is wrong into sentences with a remedy. It also writes the seccomp
// profile that a container needs.
//
// Flow: Examine fills a Report (look_linux.go reads the system, uring.Features
// and kring.ChooseEngine ask), diagnose reads the Report and adds Findings,
// WriteText and encoding/json show it. Nothing is decided twice: the engine is
// chosen by the code that serves.
//
// Ownership: a Report is a value; nothing is kept open or running.
//
// Never: change anything; decide by a kernel's version; fail because a file of
// /proc or /sys is not there: what is not known says so.
//
// Kernel: every file it reads is optional. Other systems than Linux get a
// Report too: it says portable.
package doctor
