//go:build !unix

package main

// maxFiles is how many files this process may have open.
func maxFiles() int { return noLimit }
