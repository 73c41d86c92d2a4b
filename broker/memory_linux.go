package broker

import "syscall"

// systemMemory is how many bytes of memory the machine has; 0: it is not known.
func systemMemory() int {
	var s syscall.Sysinfo_t
	if err := syscall.Sysinfo(&s); err != nil {
		return 0
	}
	return int(uint64(s.Totalram) * uint64(s.Unit))
}
