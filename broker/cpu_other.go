//go:build !unix

package broker

import "strings"

// infoCPU tells nothing: there is no portable way to know.
func (b *Broker) infoCPU(*strings.Builder) {}
