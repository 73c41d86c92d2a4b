package redistest

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// RequireEnv names the environment variable that lists, separated by commas,
// the programs whose absence fails a test.
const RequireEnv = "REDRPC_REQUIRE"

// StartProgram starts cmd as cmd.Start does. On Linux the system kills the program if the
// test's process ends before the test, as when it is killed or its time is up.
func StartProgram(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	started, over := make(chan error), make(chan struct{})
	t.Cleanup(func() { close(over) })
	go func() {
		runtime.LockOSThread() // for the system it is the thread that a program is a child of
		defer runtime.UnlockOSThread()
		dieWithThread(cmd)
		started <- cmd.Start()
		<-over
	}()
	return <-started
}

// Program returns the path of a program that the test needs, or ends the test:
// skipped, or failed where RequireEnv asks for it.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name)
	}
	return path
}

// Python returns a python3 that can import a module, or ends the test like Program. What
// is missing is Debian's package of the module, such as python3-redis.
func Python(t testing.TB, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	Missing(t, "python3-"+strings.ReplaceAll(module, "_", "-"))
	return ""
}

// Missing ends a test that needs what this machine lacks.
func Missing(t testing.TB, name string) {
	t.Helper()
	required := strings.Split(os.Getenv(RequireEnv), ",")
	if slices.Contains(required, name) || slices.Contains(required, "all") {
		t.Fatalf("%s is not installed, and %s=%s says that it must be", name, RequireEnv, os.Getenv(RequireEnv))
	}
	t.Skipf("LEFT OUT: %s is not installed", name)
}
