package main

import (
	"slices"
	"testing"
)

func TestClientsNamed(t *testing.T) {
	list := "id=3 addr=127.0.0.1:4 laddr=127.0.0.1:5 fd=7 name=ours age=0 cmd=blpop\n" +
		"id=12 addr=127.0.0.1:6 laddr=127.0.0.1:5 fd=8 name=ours-too age=0 cmd=blpop\n" +
		"id=13 addr=127.0.0.1:7 laddr=127.0.0.1:5 fd=9 name= age=0 cmd=client|list\n" +
		"id=14 addr=127.0.0.1:8 laddr=127.0.0.1:5 fd=10 name=ours age=0 cmd=NULL\n"
	if got, want := clientsNamed(list, "ours"), []int64{3, 14}; !slices.Equal(got, want) {
		t.Errorf("expected %v, got %v", want, got)
	}
}

func TestLedger(t *testing.T) {
	var l ledger
	for _, n := range []int64{0, 2, 1, 2, 4} {
		l.runs(n)
	}
	for _, n := range []int64{1, 3, 5} { // ran, did not, and did not as the last
		l.fails(n)
	}
	if got, want := l.close(6), (killed{Made: 6, Lost: 1, Doubles: 1, Failed: 2}); got != want {
		t.Errorf("expected %+v, got %+v", want, got)
	}
}
