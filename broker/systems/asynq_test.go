package systems

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// An asynqFlow is a client of asynq, an inspector, and what they are made of.
type asynqFlow struct {
	*testing.T
	rdb     *redis.Client
	client  *asynq.Client
	inspect *asynq.Inspector
}

func newAsynqFlow(t *testing.T, s server) asynqFlow {
	rdb := s.client(t)
	return asynqFlow{t, rdb, asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)}
}

// serve starts a worker that looks for tasks often, until the test ends.
func (f asynqFlow) serve(config asynq.Config, handle asynq.HandlerFunc) {
	f.Helper()
	config.Concurrency, config.LogLevel = 4, asynq.FatalLevel
	config.TaskCheckInterval, config.DelayedTaskCheckInterval = 5*time.Millisecond, 5*time.Millisecond
	config.JanitorInterval = 50 * time.Millisecond
	config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return 0 }
	worker := asynq.NewServerFromRedisClient(f.rdb, config)
	ok(f.T, worker.Start(handle))
	f.Cleanup(worker.Shutdown)
}

func (f asynqFlow) enqueue(kind, payload string, options ...asynq.Option) *asynq.TaskInfo {
	f.Helper()
	info, err := f.client.Enqueue(asynq.NewTask(kind, []byte(payload)), options...)
	ok(f.T, err)
	return info
}

func (f asynqFlow) queue(name string) *asynq.QueueInfo {
	f.Helper()
	info, err := f.inspect.GetQueueInfo(name)
	ok(f.T, err)
	return info
}

// awaitState waits until a task is in a state.
func (f asynqFlow) awaitState(task *asynq.TaskInfo, want asynq.TaskState) *asynq.TaskInfo {
	f.Helper()
	var info *asynq.TaskInfo
	eventually(f.T, fmt.Sprintf("task %s to be %v", task.Type, want), func() (is bool) {
		var err error
		info, err = f.inspect.GetTaskInfo(task.Queue, task.ID)
		ok(f.T, err)
		return info.State == want
	})
	return info
}

func TestAsynqProcess(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		early := f.enqueue("greet", "early", asynq.Retention(time.Hour))
		equal(t, "state", early.State, asynq.TaskStatePending)
		equal(t, "pending", f.queue("default").Pending, 1)
		scheduled := f.enqueue("greet", "in an hour", asynq.ProcessIn(time.Hour))
		soon := f.enqueue("greet", "soon", asynq.ProcessIn(30*time.Millisecond), asynq.Retention(time.Hour))
		equal(t, "state of a later one", soon.State, asynq.TaskStateScheduled)

		f.serve(asynq.Config{Queues: map[string]int{"critical": 6, "default": 3}}, func(_ context.Context, task *asynq.Task) error {
			_, err := fmt.Fprintf(task.ResultWriter(), "hello %s", task.Payload())
			return err
		})
		critical := f.enqueue("greet", "critical", asynq.Queue("critical"), asynq.Retention(time.Hour), asynq.Timeout(time.Minute))
		for _, task := range []*asynq.TaskInfo{early, soon, critical} {
			done := f.awaitState(task, asynq.TaskStateCompleted)
			equal(t, "result", string(done.Result), "hello "+string(task.Payload))
		}
		queues, err := f.inspect.Queues()
		ok(t, err)
		equal(t, "queues", len(queues), 2)
		info := f.queue("default")
		equal(t, "processed", info.Processed, 2)
		equal(t, "completed", info.Completed, 2)
		equal(t, "scheduled", info.Scheduled, 1)
		equal(t, "failed", info.Failed, 0)
		history, err := f.inspect.History("default", 1)
		ok(t, err)
		equal(t, "processed today", history[0].Processed, 2)

		ok(t, f.inspect.RunTask("default", scheduled.ID))
		eventually(t, "the scheduled task to run, and go", func() bool {
			_, err := f.inspect.GetTaskInfo("default", scheduled.ID)
			return errors.Is(err, asynq.ErrTaskNotFound)
		})
		expiring := f.enqueue("greet", "expiring", asynq.Retention(time.Second))
		eventually(t, "the janitor to delete what is kept no longer", func() bool {
			_, err := f.inspect.GetTaskInfo("default", expiring.ID)
			return errors.Is(err, asynq.ErrTaskNotFound)
		})
		eventually(t, "the heartbeat of the server", func() bool {
			servers, err := f.inspect.Servers()
			ok(t, err)
			return len(servers) == 1 && maps.Equal(servers[0].Queues, map[string]int{"critical": 6, "default": 3})
		})
	})
}

func TestAsynqRetry(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		var flaky atomic.Int32
		f.serve(asynq.Config{}, func(ctx context.Context, task *asynq.Task) error {
			switch task.Type() {
			case "flaky":
				if n, _ := asynq.GetRetryCount(ctx); n < 2 {
					flaky.Add(1)
					return errors.New("not yet")
				}
				return nil
			case "hopeless":
				return fmt.Errorf("no way: %w", asynq.SkipRetry)
			case "panics":
				panic("oh")
			}
			return errors.New("always")
		})
		done := f.awaitState(f.enqueue("flaky", "", asynq.Retention(time.Hour)), asynq.TaskStateCompleted)
		equal(t, "failures", flaky.Load(), 2)
		equal(t, "retried", done.Retried, 2)
		fails := f.awaitState(f.enqueue("fails", "x", asynq.MaxRetry(1)), asynq.TaskStateArchived)
		equal(t, "last error", fails.LastErr, "always")
		hopeless := f.awaitState(f.enqueue("hopeless", ""), asynq.TaskStateArchived)
		equal(t, "last error", hopeless.LastErr, "no way: skip retry for the task")
		f.awaitState(f.enqueue("panics", "", asynq.MaxRetry(0)), asynq.TaskStateArchived)

		archived, err := f.inspect.ListArchivedTasks("default")
		ok(t, err)
		equal(t, "archived", len(archived), 3)
		equal(t, "failed", f.queue("default").Failed, 6)
		ok(t, f.inspect.DeleteTask("default", hopeless.ID))
		n, err := f.inspect.RunAllArchivedTasks("default")
		ok(t, err)
		equal(t, "run again", n, 2)
		eventually(t, "them to be archived again", func() bool { return f.queue("default").Archived == 2 })
		n, err = f.inspect.DeleteAllArchivedTasks("default")
		ok(t, err)
		equal(t, "deleted", n, 2)
	})
}

func TestAsynqUnique(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		task := asynq.NewTask("mail", []byte("ann"))
		first, err := f.client.Enqueue(task, asynq.Unique(time.Hour))
		ok(t, err)
		if _, err := f.client.Enqueue(task, asynq.Unique(time.Hour)); !errors.Is(err, asynq.ErrDuplicateTask) {
			t.Errorf("the same again: got %v, want ErrDuplicateTask", err)
		}
		if _, err := f.client.Enqueue(task, asynq.Unique(time.Hour), asynq.ProcessIn(time.Hour)); !errors.Is(err, asynq.ErrDuplicateTask) {
			t.Errorf("the same for later: got %v, want ErrDuplicateTask", err)
		}
		f.enqueue("mail", "bob", asynq.TaskID("bob"))
		if _, err := f.client.Enqueue(task, asynq.TaskID("bob")); !errors.Is(err, asynq.ErrTaskIDConflict) {
			t.Errorf("the same ID: got %v, want ErrTaskIDConflict", err)
		}
		ok(t, f.inspect.DeleteTask("default", first.ID))
		_, err = f.client.Enqueue(task, asynq.Unique(time.Hour))
		ok(t, err)
		_, err = f.client.Enqueue(asynq.NewTask("mail", []byte("cid")), asynq.Unique(time.Hour), asynq.Retention(time.Hour))
		ok(t, err)
		f.serve(asynq.Config{}, func(context.Context, *asynq.Task) error { return nil })
		eventually(t, "all to be processed", func() bool { return f.queue("default").Processed == 3 })
		_, err = f.client.Enqueue(task, asynq.Unique(time.Hour)) // the lock ended with the task
		ok(t, err)
	})
}

func TestAsynqInspector(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		for n := range 5 {
			f.enqueue("pending", fmt.Sprint(n))
			f.enqueue("scheduled", fmt.Sprint(n), asynq.ProcessIn(time.Duration(n+1)*time.Hour))
		}
		page, err := f.inspect.ListPendingTasks("default", asynq.PageSize(2), asynq.Page(2))
		ok(t, err)
		equal(t, "second page", fmt.Sprintf("%s %s", page[0].Payload, page[1].Payload), "2 3")
		scheduled, err := f.inspect.ListScheduledTasks("default")
		ok(t, err)
		equal(t, "scheduled", len(scheduled), 5)
		equal(t, "first", string(scheduled[0].Payload), "0")
		ok(t, f.inspect.UpdateTaskPayload("default", scheduled[1].ID, []byte("new")))
		updated, err := f.inspect.GetTaskInfo("default", scheduled[1].ID)
		ok(t, err)
		equal(t, "payload", string(updated.Payload), "new")
		ok(t, f.inspect.ArchiveTask("default", scheduled[0].ID))
		n, err := f.inspect.ArchiveAllPendingTasks("default")
		ok(t, err)
		equal(t, "archived", n, 5)
		n, err = f.inspect.DeleteAllScheduledTasks("default")
		ok(t, err)
		equal(t, "deleted", n, 4)
		info := f.queue("default")
		equal(t, "size", info.Size, 6)
		equal(t, "archived", info.Archived, 6)
		if info.MemoryUsage <= 0 {
			t.Errorf("memory usage: got %d", info.MemoryUsage)
		}
		if err := f.inspect.DeleteQueue("default", false); !errors.Is(err, asynq.ErrQueueNotEmpty) {
			t.Errorf("deleting a queue with tasks: got %v, want ErrQueueNotEmpty", err)
		}
		ok(t, f.inspect.DeleteQueue("default", true))
		equal(t, "keys", f.rdb.DBSize(t.Context()).Val(), 0)
		if err := f.inspect.DeleteQueue("default", true); !errors.Is(err, asynq.ErrQueueNotFound) {
			t.Errorf("deleting it again: got %v, want ErrQueueNotFound", err)
		}
	})
}

func TestAsynqPauseAndCancel(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		f.enqueue("wait", "")
		ok(t, f.inspect.PauseQueue("default"))
		equal(t, "paused", f.queue("default").Paused, true)
		started := make(chan struct{}, 1)
		f.serve(asynq.Config{Queues: map[string]int{"default": 1, "other": 1}}, func(ctx context.Context, task *asynq.Task) error {
			if task.Type() == "wait" {
				started <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		f.awaitState(f.enqueue("quick", "", asynq.Queue("other"), asynq.Retention(time.Hour)), asynq.TaskStateCompleted)
		select {
		case <-started:
			t.Error("a task of a paused queue has started")
		default:
		}
		ok(t, f.inspect.UnpauseQueue("default"))
		receive(t, "the task to start", started)
		active, err := f.inspect.ListActiveTasks("default")
		ok(t, err)
		equal(t, "active", len(active), 1)
		ok(t, f.inspect.PauseQueue("default")) // so that it is not retried at once
		eventually(t, "the task to end, once the server hears of it", func() bool {
			ok(t, f.inspect.CancelProcessing(active[0].ID))
			return f.queue("default").Active == 0
		})
		failed := f.awaitState(active[0], asynq.TaskStatePending)
		equal(t, "last error", failed.LastErr, "context canceled")
		n, err := f.inspect.ArchiveAllPendingTasks("default")
		ok(t, err)
		equal(t, "archived", n, 1)
	})
}

func TestAsynqGroups(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		for n := range 5 {
			f.enqueue("line", fmt.Sprint(n), asynq.Group("report"), asynq.TaskID(fmt.Sprint(n))) // those of a second are ordered by ID
		}
		groups, err := f.inspect.Groups("default")
		ok(t, err)
		equal(t, "groups", len(groups), 1)
		for _, g := range groups {
			equal(t, "group", *g, asynq.GroupInfo{Group: "report", Size: 5})
		}
		reports := make(chan string, 5)
		f.serve(asynq.Config{
			GroupGracePeriod: time.Second, GroupMaxSize: 3,
			GroupAggregator: asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
				text := group
				for _, task := range tasks {
					text += " " + string(task.Payload())
				}
				return asynq.NewTask("report", []byte(text))
			}),
		}, func(_ context.Context, task *asynq.Task) error {
			reports <- string(task.Payload())
			return nil
		})
		equal(t, "as many as fit", receive(t, "a report", reports), "report 0 1 2")
		equal(t, "the rest, after a time", receive(t, "a report", reports), "report 3 4")
	})
}

func TestAsynqPeriodic(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		f := newAsynqFlow(t, s)
		enqueued := make(chan string, 10)
		scheduler := asynq.NewSchedulerFromRedisClient(f.rdb, &asynq.SchedulerOpts{
			LogLevel: asynq.FatalLevel, HeartbeatInterval: 50 * time.Millisecond,
			PostEnqueueFunc: func(info *asynq.TaskInfo, err error) {
				if err == nil {
					enqueued <- info.ID
				}
			},
		})
		entry, err := scheduler.Register("@every 1s", asynq.NewTask("tick", nil), asynq.Queue("ticks"))
		ok(t, err)
		ok(t, scheduler.Start())
		f.serve(asynq.Config{Queues: map[string]int{"ticks": 1}}, func(context.Context, *asynq.Task) error { return nil })
		receive(t, "a tick", enqueued)
		eventually(t, "the first tick to be processed", func() bool {
			info, err := f.inspect.GetQueueInfo("ticks")
			return err == nil && info.Processed >= 1
		})
		eventually(t, "the scheduler's entry", func() bool {
			entries, err := f.inspect.SchedulerEntries()
			ok(t, err)
			return len(entries) == 1 && entries[0].ID == entry && !entries[0].Prev.IsZero()
		})
		eventually(t, "an event of the scheduler", func() bool {
			events, err := f.inspect.ListSchedulerEnqueueEvents(entry)
			ok(t, err)
			return len(events) > 0
		})
		scheduler.Shutdown()
		entries, err := f.inspect.SchedulerEntries()
		ok(t, err)
		equal(t, "entries after the shutdown", len(entries), 0)
	})
}
