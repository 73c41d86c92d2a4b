package broker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// MONITOR shows every command but admin commands, after its reply: those of a transaction
// when EXEC runs them, and then EXEC; a blocking command when it blocks. The monitoring
// client cannot access keys until RESET.

var monitorCommands = []command.Command{
	{Name: "monitor", Arity: 1, Flags: command.Admin | command.PerSession, Run: withBroker(monitor),
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Shows this client every command that runs."},
}

func monitor(c *call, _ [][]byte) resp.Reply {
	s := c.session
	switch {
	case s.transaction.running:
		return resp.ErrorReply("ERR MONITOR isn't allowed for DENY BLOCKING client")
	case s.monitors:
		return resp.Nothing
	}
	s.monitors = true
	c.monitors = append(c.monitors, s)
	c.setObserved()
	return resp.OK
}

// stopMonitoring undoes MONITOR.
func (s *session) stopMonitoring() {
	if !s.monitors {
		return
	}
	s.monitors = false
	b := s.broker
	b.monitors = slices.DeleteFunc(b.monitors, func(x *session) bool { return x == s })
	b.setObserved()
}

func (b *Broker) setObserved() { b.observed = b.history.most > 0 || len(b.monitors) > 0 }

// show sends a command to the monitoring clients.
func (b *Broker) show(by *session, cmd *command.Command, args [][]byte) {
	if len(b.monitors) == 0 || cmd.Flags&command.Admin != 0 {
		return
	}
	var line strings.Builder
	micros := b.keys.Now / int64(time.Microsecond)
	line.WriteString(strconv.FormatInt(micros/1e6, 10) + "." + strconv.FormatInt(1e6+micros%1e6, 10)[1:])
	line.WriteString(" [" + strconv.Itoa(by.db.Index) + " " + by.address() + "]")
	for i, arg := range args {
		if isSecret(cmd, args, i) {
			arg = []byte(redacted)
		}
		line.WriteByte(' ')
		writeQuoted(&line, arg)
	}
	r := resp.Simple(line.String())
	for _, s := range b.monitors {
		s.reply(&r)
	}
}

// address is the client's address as MONITOR shows it.
func (s *session) address() string {
	switch {
	case s.caller != nil:
		return "lua"
	case s.id == 0:
		return "Do"
	}
	client, _ := s.transport.Addresses()
	if s.transport.IsUnix() {
		return "unix:" + strings.TrimSuffix(client, ":0")
	}
	return client
}

// writeQuoted quotes a text as Redis's sdscatrepr does.
func writeQuoted(out *strings.Builder, s []byte) {
	out.WriteByte('"')
	for _, c := range s {
		switch at := strings.IndexByte("\\\"\n\r\t\a\b", c); {
		case at >= 0:
			out.WriteByte('\\')
			out.WriteByte(`\"nrtab`[at])
		case c < ' ' || c > '~':
			const digits = "0123456789abcdef"
			out.WriteString(`\x`)
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&15])
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
}
