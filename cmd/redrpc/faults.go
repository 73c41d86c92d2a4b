package main

import (
	"fmt"
	"strings"

	"redrpc/broker"
)

// faultFlags takes a rule each time it is given.
type faultFlags []broker.Fault

func (f *faultFlags) String() string { return "" }
func (f *faultFlags) Type() string   { return "RULE" }

func (f *faultFlags) Set(s string) error {
	fault, err := broker.ParseFault(s)
	if err != nil {
		return fmt.Errorf("expected words such as command=get error='ERR no': %s", strings.TrimPrefix(err.Error(), "broker: "))
	}
	*f = append(*f, fault)
	return nil
}

// inject makes rules of the faults.
func (f *faultFlags) inject(b *broker.Broker) error {
	for _, fault := range *f {
		if _, err := b.Inject(fault); err != nil {
			return err
		}
	}
	return nil
}

// faultHelp explains the rules.
func faultHelp() string {
	return `A --fault is a rule that injects a fault: which commands it affects, which of those, and
what happens to them, as words with values. Rules apply in the order in which they are given.
  ` + strings.ReplaceAll(strings.TrimSpace(broker.FaultUsage()), "\n", "\n  ")
}
