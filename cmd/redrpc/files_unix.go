//go:build unix

package main

import "syscall"

// socketMode has the permissions of a new Unix socket: only this user can connect.
const socketMode = 0o700

// maxFiles is how many files this process may have open. Go has raised the limit
// as far as it may.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return noLimit
	}
	return int(min(uint64(limit.Cur), noLimit))
}
