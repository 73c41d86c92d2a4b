//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package rpc

import "net"

func peerClosed(net.Conn) bool { return false }

func unsentBytes(net.Conn) int { return 0 }
