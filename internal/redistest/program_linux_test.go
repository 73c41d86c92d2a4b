package redistest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// asVictim makes the test start a program and wait to be killed.
const asVictim = "REDRPC_TEST_AS_VICTIM"

// A program that a test has started holds the pipe open: its end is that of the program.
func TestProgramsDieWithTheTest(t *testing.T) {
	if os.Getenv(asVictim) != "" {
		cmd := exec.Command("sleep", "1000")
		cmd.Stdout = os.Stdout
		if err := StartProgram(t, cmd); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("started\n")
		time.Sleep(patience)
		t.Fatal("nobody kills this test")
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	victim := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	victim.Env, victim.Stdout = append(os.Environ(), asVictim+"=1"), theirs
	if err := StartProgram(t, victim); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if err := ours.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(ours)
	if line, err := r.ReadString('\n'); line != "started\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := victim.Wait(); err == nil {
		t.Error("the test was not killed")
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("the program goes on: got %q, %v", rest, err)
	}
}
