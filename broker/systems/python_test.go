//go:build unix

package systems

import (
	"testing"

	"redrpc/internal/redistest"
)

func TestCelery(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "celery")
	onEachByTCP(t, func(t *testing.T, s server) {
		worker := startProgram(t, s, "testdata/celery", python, "-m", "celery", "-A", "tasks", "worker", "--concurrency=2")
		runFlow(t, s, "testdata/celery", python, "flow.py")
		if !t.Failed() { // the flow told the worker to end
			worker.ends(t, "the worker")
		}
	})
}

func TestRQ(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "rq")
	onEachByTCP(t, func(t *testing.T, s server) {
		worker := startProgram(t, s, "testdata/rq", python, "-m", "rq.cli", "worker", "--url", "redis://"+s.addr, "--with-scheduler", "high", "default", "low")
		runFlow(t, s, "testdata/rq", python, "flow.py")
		if !t.Failed() { // the flow told the worker to end
			worker.ends(t, "the worker")
		}
	})
}

func TestKombu(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "kombu")
	onEachByTCP(t, func(t *testing.T, s server) { runFlow(t, s, "testdata", python, "kombu_flow.py") })
}

func TestDjangoRedis(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "django_redis")
	onEachByTCP(t, func(t *testing.T, s server) { runFlow(t, s, "testdata", python, "django_flow.py") })
}

func TestChannelsRedis(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "channels_redis")
	onEachByTCP(t, func(t *testing.T, s server) { runFlow(t, s, "testdata", python, "channels_flow.py") })
}

func TestLimits(t *testing.T) {
	t.Parallel()
	python := redistest.Python(t, "limits")
	onEachByTCP(t, func(t *testing.T, s server) { runFlow(t, s, "testdata", python, "limits_flow.py") })
}
