package main

import (
	"context"
	"testing"
)

// Both clients of the protocol are answered by all its servers.
func TestEveryFleetAnswersEveryClient(t *testing.T) {
	for _, fleet := range fleetNames {
		for _, client := range fleetClients {
			s, err := startSystem(inMemory.on(client, fleet), "")
			if err != nil {
				t.Fatal(err)
			}
			for range 20 { // in a mixed fleet by either server
				if err := s.call(context.Background()); err != nil {
					t.Errorf("%s on %s: %v", client, fleet, err)
				}
			}
			if err := s.close(); err != nil {
				t.Errorf("%s on %s: %v", client, fleet, err)
			}
		}
	}
}
