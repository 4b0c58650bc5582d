//go:build !linux

package contract

import "os"

func giveWay() {}

func dropCached(*os.File, int64, int64) error { return nil }
