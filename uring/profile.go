package uring

import (
	"slices"
	"strconv"
	"strings"
)

// KernelProfiles are the values of Config.KernelProfile, oldest first.
func KernelProfiles() []string {
	return []string{"5.19", "6.0", "6.1", "6.6", "6.10", "6.12", "6.15", profileMax}
}

// profileMax is this machine's kernel as it is.
const profileMax = "max"

// isProfile knows the profiles, and the kernels too old to have one: New refuses
// those, as it does there.
func isProfile(name string) bool {
	return slices.Contains(KernelProfiles(), name) || profileTooOld(name)
}

// profileTooOld says that name is a kernel before 5.19.
func profileTooOld(name string) bool {
	major, minor, ok := strings.Cut(name, ".")
	x, err := strconv.ParseUint(major, 10, 8)
	y, err2 := strconv.ParseUint(minor, 10, 8)
	return ok && err == nil && err2 == nil && (x < 5 || x == 5 && y < 19)
}
