//go:build !linux

package broker

// systemMemory is how many bytes of memory the machine has; 0: it is not known.
func systemMemory() int { return 0 }
