//go:build !unix

package rpc

// isDead would say whether Redis has closed the connection, if that were known.
func (*conn) isDead() bool { return false }
