package report

import "golang.org/x/sys/unix"

// machine returns the kernel's version, the processor's model and the memory.
func machine() (kernel, cpu string, memory int64) {
	kernel, _ = unix.Sysctl("kern.osrelease")
	cpu, _ = unix.Sysctl("machdep.cpu.brand_string")
	bytes, _ := unix.SysctlUint64("hw.memsize")
	return kernel, cpu, int64(bytes)
}
