//go:build !unix

package main

// socketMode leaves the permissions of a new Unix socket to the system.
const socketMode = 0

// maxFiles is how many files this process may have open.
func maxFiles() int { return noLimit }
