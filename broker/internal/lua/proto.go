package lua

// A proto is a compiled function.
type proto struct {
	source         string // the script's name, with its @
	code           []instruction
	constants      []Value
	functions      []*proto
	lines          []int32 // of each instruction
	locals         []localInfo
	upvalueNames   []string
	upvalues       int
	parameters     int
	isVararg       uint8
	maxStack       int
	line, lastLine int // where the function begins and ends
}

// A localInfo says where a local variable lives: from an instruction up to another.
type localInfo struct {
	name       string
	start, end int
}

const (
	varargHasArg   = 1 // it has the parameter arg
	varargIsVararg = 2
	varargNeedsArg = 4 // the table arg is to be made
)

// lineOf is the line of an instruction, or -1.
func (p *proto) lineOf(pc int) int {
	if uint(pc) < uint(len(p.lines)) {
		return int(p.lines[pc])
	}
	return -1
}
