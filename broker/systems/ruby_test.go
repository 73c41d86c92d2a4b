//go:build unix

package systems

import (
	"os/exec"
	"testing"

	"redrpc/internal/redistest"
)

// ruby returns the path of Ruby, where Sidekiq is installed, too.
func ruby(t *testing.T) string {
	t.Helper()
	path := redistest.Program(t, "ruby")
	if exec.Command(path, "-e", `require "sidekiq"`).Run() != nil {
		redistest.Missing(t, "ruby-sidekiq")
	}
	return path
}

func TestSidekiq(t *testing.T) {
	t.Parallel()
	ruby := ruby(t)
	onEachByTCP(t, func(t *testing.T, s server) {
		worker := startProgram(t, s, "testdata/sidekiq", ruby, "-S", "sidekiq", "-r", "./jobs.rb", "-c", "2", "-q", "critical", "-q", "default")
		runFlow(t, s, "testdata/sidekiq", ruby, "flow.rb")
		if !t.Failed() { // the flow told the worker to end
			worker.ends(t, "the worker")
		}
	})
}
