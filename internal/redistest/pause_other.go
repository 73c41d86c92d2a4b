//go:build !unix

package redistest

import "testing"

// Pause would stop the process, which only Unix can.
func (s *Server) Pause(t testing.TB) { t.Skip("LEFT OUT: no process can be paused here") }

// Resume does nothing.
func (s *Server) Resume(t testing.TB) {}
