//go:build unix

package systems

import (
	"os/exec"
	"testing"

	"redrpc/internal/redistest"
)

func TestSidekiq(t *testing.T) {
	t.Parallel()
	ruby := redistest.Program(t, "ruby")
	if exec.Command(ruby, "-e", `require "sidekiq"`).Run() != nil {
		redistest.Missing(t, "ruby-sidekiq")
	}
	onEachByTCP(t, func(t *testing.T, s server) {
		worker := startProgram(t, s, "testdata/sidekiq", ruby, "-S", "sidekiq", "-r", "./jobs.rb", "-c", "2", "-q", "critical", "-q", "default")
		runFlow(t, s, "testdata/sidekiq", ruby, "flow.rb")
		if !t.Failed() { // the flow told the worker to end
			worker.ends(t, "the worker")
		}
	})
}
