//go:build unix

package main

import "syscall"

// maxFiles is how many files this process may have open. Go has raised the limit
// as far as it may.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return noLimit
	}
	return int(min(uint64(limit.Cur), noLimit))
}
