package rpc

import (
	"strconv"
	"strings"
)

// This file is how a Cluster spreads keys: each lies in a slot, and each slot on a
// master. It does no I/O.

// slots is how many there are.
const slots = 16384

// keySlot returns the slot of a key: of its hash tag, if it has one, else of all of it.
func keySlot(key string) int {
	if tag, ok := hashTag(key); ok {
		key = tag
	}
	return int(crc16(0, key) % slots)
}

// hashTag returns what stands between the first { of a key and the next }, unless
// that is nothing.
func hashTag(key string) (tag string, ok bool) {
	_, after, _ := strings.Cut(key, "{")
	tag, _, ok = strings.Cut(after, "}")
	return tag, ok && tag != ""
}

// defiesTags says whether all keys that begin with before are hashed whole: of {}
// there is nothing to hash, and a hash tag behind it does not count.
func defiesTags(before string) bool {
	_, after, found := strings.Cut(before, "{")
	return found && strings.HasPrefix(after, "}")
}

// tagFor returns what has to stand behind before in a key so that the key lies in a
// slot, whatever follows: nothing or a hash tag. There is none if before has a hash
// tag of another slot, or defies them.
func tagFor(before string, slot int) (tag string, ok bool) {
	if _, tagged := hashTag(before); tagged || defiesTags(before) {
		return "", tagged && keySlot(before) == slot
	}
	start := uint16(0) // of what is hashed before the number
	if _, open, found := strings.Cut(before, "{"); found {
		start = crc16(0, open+"{")
	}
	var digits [8]byte
	for n := int64(0); ; n++ { // ends, as numbers of four digits are in all slots
		number := strconv.AppendInt(digits[:0], n, 36)
		if int(crc16(start, number)%slots) == slot {
			return "{" + string(number) + "}", true
		}
	}
}

// crc16 goes on from crc with text: CRC-16/XMODEM, which is what Redis uses.
func crc16[T string | []byte](crc uint16, text T) uint16 {
	for i := range len(text) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^text[i]]
	}
	return crc
}

// crcTable has what each value of the upper byte does to the others.
var crcTable = func() (table [256]uint16) {
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
