package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// A child is this program in another process, in another role: it is asked questions on its stdin,
// and answers with a line of JSON each. It ends with its stdin.
type child struct {
	cmd *exec.Cmd
	ask *json.Encoder
	out *json.Decoder
}

// A question is what a child is asked.
type question string

const (
	askForSample question = "sample" // what it holds: a sample
	askToClear   question = "clear"  // a soak test's broker, to end faults and delete all keys: cleared
	askToCall    question = "call"   // a client, to make all calls: null
	askToRelease question = "release"
	askToWait    question = "wait" // for the ends of all calls: how many were answered
	askHowMany   question = "how many"
)

func startChild(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, args...)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.ask, c.out = json.NewEncoder(in), json.NewDecoder(out)
	return c, c.cmd.Start()
}

// question asks, and decodes the answer.
func (c *child) question(q question, answer any) error {
	if err := c.ask.Encode(q); err != nil {
		return err
	}
	if err := c.out.Decode(answer); err != nil {
		return fmt.Errorf("no answer to %q: %w", q, err)
	}
	return nil
}

func (c *child) sample() (s sample, err error) { return s, c.question(askForSample, &s) }

// stop ends the process, and waits for it.
func (c *child) stop() { (&server{cmd: c.cmd}).stop() }

// answer is the loop of a child. It ends with its stdin, or an error.
func answer(to func(question) (any, error)) error {
	answers := json.NewEncoder(os.Stdout)
	for questions := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		var q question
		if questions.Decode(&q) != nil {
			return nil
		}
		a, err := to(q)
		if err == nil {
			err = answers.Encode(a)
		}
		if err != nil {
			return err
		}
	}
}

// A sample is what a process holds at a moment.
type sample struct {
	InUse      int64 `json:"in_use"`   // bytes of heap and stacks, after a garbage collection
	Resident   int64 `json:"resident"` // bytes
	Files      int   `json:"files"`    // open descriptors
	Goroutines int   `json:"goroutines"`
}

// ofThisProcess takes a sample.
func ofThisProcess() (s sample, err error) {
	s = sample{InUse: inUse(), Goroutines: runtime.NumGoroutine()}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return s, err
	}
	s.Files = len(open) - 1 // without that of the directory
	s.Resident, err = resident(os.Getpid(), "VmRSS")
	return s, err
}

// resident is a size of /proc/PID/status, in bytes.
func resident(pid int, name string) (int64, error) {
	var kib int64
	if _, err := fmt.Sscanf(line(fmt.Sprintf("/proc/%d/status", pid), name), "%d", &kib); err != nil {
		return 0, fmt.Errorf("%s of process %d: %w", name, pid, err)
	}
	return kib << 10, nil
}
