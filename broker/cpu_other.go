//go:build !unix

package broker

import "strings"

// infoCPU writes nothing: there is no portable way to know.
func (b *Broker) infoCPU(*strings.Builder) {}
