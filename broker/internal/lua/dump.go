package lua

import (
	"encoding/binary"
	"math"
)

// stringDump returns a function as Lua 5.1 writes compiled ones on a 64-bit machine. Redis
// loads none.
func stringDump(t *Thread) int {
	f := t.CheckFunction(1)
	if f.proto == nil {
		t.Errorf("unable to dump given function")
	}
	d := dumper{[]byte("\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00")}
	d.function(f.proto, "")
	return t.Return(t.madeString(d.out))
}

type dumper struct{ out []byte }

func (d *dumper) byte(n int) { d.out = append(d.out, byte(n)) }

func (d *dumper) int(n int) { d.out = binary.LittleEndian.AppendUint32(d.out, uint32(n)) }

func (d *dumper) string(s string) {
	d.out = binary.LittleEndian.AppendUint64(d.out, uint64(len(s)+1))
	d.out = append(d.out, s...)
	d.byte(0)
}

// function writes a function. Its script's name is written unless it is that of the outer
// one.
func (d *dumper) function(p *proto, outer string) {
	if p.source == outer {
		d.out = binary.LittleEndian.AppendUint64(d.out, 0)
	} else {
		d.string(p.source)
	}
	d.int(p.line)
	d.int(p.lastLine)
	d.byte(p.upvalues)
	d.byte(p.parameters)
	d.byte(int(p.isVararg))
	d.byte(p.maxStack)
	d.int(len(p.code))
	for _, i := range p.code {
		d.int(int(i))
	}
	d.int(len(p.constants))
	for _, k := range p.constants {
		d.constant(k)
	}
	d.int(len(p.functions))
	for _, f := range p.functions {
		d.function(f, p.source)
	}
	d.debug(p)
}

func (d *dumper) constant(k Value) {
	switch k.Type() {
	case TypeNil:
		d.byte(0)
	case TypeBoolean:
		d.byte(1)
		b, _ := k.AsBool()
		if b {
			d.byte(1)
		} else {
			d.byte(0)
		}
	case TypeNumber:
		d.byte(3)
		d.out = binary.LittleEndian.AppendUint64(d.out, math.Float64bits(k.float()))
	default:
		d.byte(4)
		d.string(k.str())
	}
}

func (d *dumper) debug(p *proto) {
	d.int(len(p.lines))
	for _, line := range p.lines {
		d.int(int(line))
	}
	d.int(len(p.locals))
	for _, l := range p.locals {
		d.string(l.name)
		d.int(l.start)
		d.int(l.end)
	}
	d.int(len(p.upvalueNames))
	for _, name := range p.upvalueNames {
		d.string(name)
	}
}
