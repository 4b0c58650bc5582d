package load

import "syscall"

// processCPU is the process's processor time in nanoseconds.
func processCPU() int64 {
	var created, exited, kernel, user syscall.Filetime
	h, err := syscall.GetCurrentProcess()
	if err == nil {
		err = syscall.GetProcessTimes(h, &created, &exited, &kernel, &user)
	}
	if err != nil {
		return 0
	}
	// Filetime.Nanoseconds counts from another epoch; the fields are a plain
	// duration here, in steps of 100 ns.
	span := func(f syscall.Filetime) int64 { return (int64(f.HighDateTime)<<32 | int64(f.LowDateTime)) * 100 }
	return span(kernel) + span(user)
}
