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

// NewString makes a string of bytes that nobody changes from now on. It raises an error if
// there is no memory for it.
func (t *Thread) NewString(b []byte) Value { return t.madeString(b) }

// CheckLength raises an error if a string of so many bytes would be too long. Who makes one
// piece by piece asks before each.
func (t *Thread) CheckLength(bytes int) { t.checkLength(bytes) }

// Allocate counts bytes that a script takes, and raises an error if they are too many. The
// fields that RawSet and SetIndex add are counted already.
func (t *Thread) Allocate(bytes int) { t.allocate(bytes) }
