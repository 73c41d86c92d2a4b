// Package keyslot says in which slot of a Redis Cluster a key lies.
package keyslot

import "strings"

// Count is over how many slots a Cluster spreads keys.
const Count = 16384

// Of returns the slot of a key: of its hash tag, if it has one, else of all of it. It
// allocates nothing.
func Of[T string | []byte](key T) int {
	open := 0
	for open < len(key) && key[open] != '{' {
		open++
	}
	for end := open + 1; end < len(key); end++ {
		if key[end] == '}' {
			if end > open+1 {
				key = key[open+1 : end]
			}
			break
		}
	}
	return int(CRC16(0, key) % Count)
}

// Tag returns what stands between the first { of a key and the next }, unless
// that is nothing.
func Tag(key string) (tag string, ok bool) {
	_, after, _ := strings.Cut(key, "{")
	tag, _, ok = strings.Cut(after, "}")
	return tag, ok && tag != ""
}

// CRC16 goes on from crc with text: CRC-16/XMODEM, which is what Redis uses.
func CRC16[T string | []byte](crc uint16, text T) uint16 {
	for i := range len(text) {
		crc = crc<<8 ^ table[byte(crc>>8)^text[i]]
	}
	return crc
}

// table has what each value of the upper byte does to the others.
var table = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		table[i] = crc
	}
	return table
}()
