package acl

import (
	"redrpc/broker/internal/command"

	_ "embed"
	"slices"
	"strings"
)

// Access control knows all commands of Redis 7.0, also those that the broker does
// not have: so rules that name them can be used in both, and mean the same.

// CategoriesText has a line for each combination of categories, with the commands
// that are in them. It is what redis-server 7.0.15 says, and checked by a test.
//
//go:embed categories.txt
var CategoriesText string

// A Catalogue numbers commands for access control.
type Catalogue struct {
	names      []string // full names, a container before its sub-commands
	categories []uint32 // bits, in the order of categoryNames
	forTests   []bool   // commands of Options.TestCommands
	numbers    map[string]int
	rows       []int // the numbers of the commands of testTable, by Command.Index
}

// NewCatalogue numbers the commands of two tables, of which the second has those of
// Options.TestCommands, too.
func NewCatalogue(table, testTable *command.Table) *Catalogue {
	bits := map[string]uint32{}
	add := func(name string, categories []string) {
		for _, category := range categories {
			bits[name] |= 1 << slices.Index(command.CategoryNames, strings.TrimPrefix(category, "@"))
		}
	}
	for line := range strings.Lines(CategoriesText) {
		categories, names, _ := strings.Cut(line, ":")
		for name := range strings.FieldsSeq(names) {
			add(name, strings.Fields(categories))
		}
	}
	for name, c := range testTable.All() {
		if bits[name] == 0 { // one for tests
			add(name, c.Categories())
		}
	}
	all := &Catalogue{numbers: map[string]int{}, rows: make([]int, testTable.Count)}
	for name := range bits {
		all.names = append(all.names, name)
	}
	slices.Sort(all.names)
	for i, name := range all.names {
		all.numbers[name] = i
		all.forTests = append(all.forTests, testTable.Named([]byte(name)) != nil && table.Named([]byte(name)) == nil)
		all.categories = append(all.categories, bits[name])
	}
	for name, c := range testTable.All() {
		all.rows[c.Index] = all.numbers[name]
	}
	if len(all.names) > len(commandSet{})*64 {
		panic("broker: a commandSet has no room for all commands")
	}
	return all
}

// Of returns the categories of a command that the broker has, a bit each in the order of
// command.CategoryNames.
func (a *Catalogue) Of(c *command.Command) uint32 { return a.categories[a.rows[c.Index]] }

// All lists the commands by their full names, a container before its sub-commands.
func (a *Catalogue) All() []string { return a.names }

// find returns the number of a command by its full name, in any case.
func (a *Catalogue) find(name string) (n int, known bool) {
	n, known = a.numbers[strings.ToLower(name)]
	return n, known
}

// end returns the number after the sub-commands of a command, which follow it.
func (a *Catalogue) end(n int) int {
	end := n + 1
	for end < len(a.names) && strings.HasPrefix(a.names[end], a.names[n]+"|") {
		end++
	}
	return end
}

// CategoryBit returns the bit of a category by its name, in any case, or 0.
func CategoryBit(name string) uint32 {
	i := slices.Index(command.CategoryNames, strings.ToLower(name))
	if i < 0 {
		return 0
	}
	return 1 << i
}

// A commandSet is a set of commands by their numbers in the catalogue.
type commandSet [8]uint64

var everyCommand = func() (s commandSet) {
	for i := range s {
		s[i] = ^uint64(0)
	}
	return s
}()

func (s *commandSet) has(n int) bool { return s[n/64]>>(n%64)&1 != 0 }

func (s *commandSet) put(n int, in bool) {
	s[n/64] &^= 1 << (n % 64)
	if in {
		s[n/64] |= 1 << (n % 64)
	}
}
