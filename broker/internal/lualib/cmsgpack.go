package lualib

import "redrpc/broker/internal/lua"

// openMsgpack makes the library cmsgpack, which makes MessagePack of values and reads it.
func openMsgpack(s *lua.State) *lua.Table {
	table := lua.NewTable(0, 0)
	addFunctions(s, table, lua.Library{
		{Name: "pack", Function: msgpackPack},
		{Name: "unpack", Function: msgpackUnpack},
		{Name: "unpack_one", Function: msgpackUnpackOne},
		{Name: "unpack_limit", Function: msgpackUnpackLimit},
	})
	table.SetString("_NAME", lua.String("cmsgpack"))
	table.SetString("_VERSION", lua.String("lua-cmsgpack 0.4.0"))
	table.SetString("_COPYRIGHT", lua.String("Copyright (C) 2012, Salvatore Sanfilippo"))
	table.SetString("_DESCRIPTION", lua.String("MessagePack C implementation for Lua"))
	return table
}

// First bytes of MessagePack's forms. Those of the form fix have a number in the byte, too.
const (
	msgpackFixMap   = 0x80
	msgpackFixArray = 0x90
	msgpackFixRaw   = 0xa0
	msgpackNil      = 0xc0
	msgpackFalse    = 0xc2
	msgpackTrue     = 0xc3
	msgpackFloat    = 0xca
	msgpackDouble   = 0xcb
	msgpackUint8    = 0xcc
	msgpackUint16   = 0xcd
	msgpackUint32   = 0xce
	msgpackUint64   = 0xcf
	msgpackInt8     = 0xd0
	msgpackInt16    = 0xd1
	msgpackInt32    = 0xd2
	msgpackInt64    = 0xd3
	msgpackRaw8     = 0xd9
	msgpackRaw16    = 0xda
	msgpackRaw32    = 0xdb
	msgpackArray16  = 0xdc
	msgpackArray32  = 0xdd
	msgpackMap16    = 0xde
	msgpackMap32    = 0xdf
	msgpackNegative = 0xe0
)
