package lua

// What libraries in other packages need besides.

// ToInteger converts a number as C does on a 64-bit machine: without its fraction, and what
// does not fit becomes the lowest number.
func ToInteger(f float64) int64 { return toInteger(f) }

// AppendNumber appends a number as C writes it with %g and a precision from 1 on.
func AppendNumber(b []byte, f float64, precision int) []byte {
	return appendGeneral(b, f, precision, false, false)
}

// ScanNumber reads a number as C's strtod does, and says how many bytes it has with the
// white space before it: 0 if there is none.
func ScanNumber(s string) (f float64, length int) { return scanFloat(s) }

// NoMemory raises the error that there is not enough memory.
func (t *Thread) NoMemory() { t.fail(notEnoughMemory) }
