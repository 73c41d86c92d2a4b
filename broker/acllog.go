package broker

import (
	"slices"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/resp"
)

// ACL LOG: what was denied to whom.

// A denied is one entry. The same thing that happens again within a minute is counted
// in it.
type denied struct {
	what     denial
	inMulti  bool
	object   string // name of a command, key or channel
	username string
	at       int64 // when it happened last, nanoseconds since 1970
	client   string
	count    int64
}

const (
	defaultAccessLog = 128
	sameDenialFor    = time.Minute
	sameDenialAmong  = 10 // entries that are looked at
)

// denialObject is what the log names.
func denialObject(what denial, cmd *command.Command, args [][]byte, at int) string {
	if what == commandDenied {
		return cmd.FullName
	}
	return string(args[at])
}

// noteDenied adds to the log.
func (s *session) noteDenied(what denial, object, username string) {
	b := s.broker
	log := &b.acl.log
	d := &denied{what: what, inMulti: s.transaction.open || s.transaction.running, object: object, username: username, at: b.keys.Now, client: s.String(), count: 1}
	for i, old := range (*log)[:min(len(*log), sameDenialAmong)] {
		if old.what == d.what && old.inMulti == d.inMulti && old.object == d.object && old.username == d.username && d.at-old.at <= int64(sameDenialFor) {
			d.count += old.count
			*log = slices.Delete(*log, i, i+1)
			break
		}
	}
	*log = slices.Insert(*log, 0, d)
	*log = slices.Delete(*log, min(len(*log), b.options.access.logLength), len(*log))
}

var denialNames = [...]string{commandDenied: "command", keyDenied: "key", authDenied: "auth", channelDenied: "channel"}

func aclLog(c *call, args [][]byte) resp.Reply {
	n := int64(10)
	switch {
	case len(args) > 3:
		return tooManyArguments(args)
	case len(args) == 3 && resp.Is(args[2], "RESET"):
		c.acl.log = nil
		return resp.OK
	case len(args) == 3:
		var isInt bool
		if n, isInt = resp.ParseInt(args[2]); !isInt {
			return resp.NotAnInteger
		}
	}
	var entries []resp.Reply
	for _, d := range c.acl.log[:max(0, min(n, int64(len(c.acl.log))))] {
		context := "toplevel"
		if d.inMulti {
			context = "multi"
		}
		entries = append(entries, resp.Map(
			resp.BulkString("count"), resp.Integer(d.count),
			resp.BulkString("reason"), resp.BulkString(denialNames[d.what]),
			resp.BulkString("context"), resp.BulkString(context),
			resp.BulkString("object"), resp.BulkString(d.object),
			resp.BulkString("username"), resp.BulkString(d.username),
			resp.BulkString("age-seconds"), resp.Double(float64((c.keys.Now-d.at)/int64(time.Millisecond))/1000),
			resp.BulkString("client-info"), resp.BulkString(d.client),
		))
	}
	return resp.Array(entries...)
}
