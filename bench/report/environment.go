package report

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
)

// An Environment is where something was measured, and with what. A field that could
// not be found out is empty or 0.
type Environment struct {
	Redrpc      string   `json:"redrpc"`   // version of the module
	Revision    string   `json:"revision"` // of git, when the program was built
	Modified    bool     `json:"modified"` // not all of it was committed
	Go          string   `json:"go"`
	OS          string   `json:"os"`
	Arch        string   `json:"arch"`
	Kernel      string   `json:"kernel"`
	CPU         string   `json:"cpu"`
	Cores       int      `json:"cores"`      // that the operating system lets the process use
	GOMAXPROCS  int      `json:"gomaxprocs"` // that Go uses at a time
	MemoryBytes int64    `json:"memory_bytes"`
	Command     []string `json:"command"` // the words it was started with

	// More are further facts, such as what INFO of a Redis says.
	More Settings `json:"more"`
}

// Capture returns the environment of this process. command is what it was started
// with, such as os.Args; passwords in it, and in more, are replaced.
func Capture(command []string, more ...Setting) *Environment {
	e := &Environment{
		Redrpc:     "(devel)",
		Go:         runtime.Version(),
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		Cores:      runtime.NumCPU(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		Command:    RedactArgs(command),
		More:       redactSettings(more),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" {
			e.Redrpc = v
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				e.Revision = s.Value
			case "vcs.modified":
				e.Modified = s.Value == "true"
			}
		}
	}
	e.Kernel, e.CPU, e.MemoryBytes = machine()
	return e
}

// plainWord is one that a shell takes as it is.
var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// shellWords are words of a command line as a shell reads them.
func shellWords(words []string) string {
	var quoted []string
	for _, w := range words {
		if !plainWord.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted = append(quoted, w)
	}
	return strings.Join(quoted, " ")
}

// summary is it in a line.
func (e *Environment) summary() string {
	var parts []string
	add := func(text string, known bool) {
		if known {
			parts = append(parts, text)
		}
	}
	revision := e.Revision[:min(12, len(e.Revision))]
	if e.Modified {
		revision += " modified"
	}
	add(strings.TrimSpace("redrpc "+e.Redrpc), e.Redrpc != "")
	add("revision "+revision, e.Revision != "")
	add(e.Go, e.Go != "")
	add(strings.TrimSpace(e.OS+"/"+e.Arch+" "+e.Kernel), e.OS != "")
	add(e.CPU, e.CPU != "")
	add(fmt.Sprintf("%d cores, GOMAXPROCS %d", e.Cores, e.GOMAXPROCS), e.Cores > 0)
	add(fmt.Sprintf("%.1f GiB of memory", float64(e.MemoryBytes)/(1<<30)), e.MemoryBytes > 0)
	return strings.Join(parts, ", ")
}
