//go:build !linux && !darwin

package report

// machine is not known here.
func machine() (kernel, cpu string, memory int64) { return "", "", 0 }
