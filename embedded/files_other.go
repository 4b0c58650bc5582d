//go:build !unix

package embedded

func filesMaxDefault() int { return filesMaxUnknown }
