package broker

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"redrpc/broker/internal/command"
	"redrpc/broker/internal/glob"
	"redrpc/broker/internal/keyspace"
	"redrpc/broker/internal/resp"
)

// CONFIG and the settings that have an effect, under Redis's names; the others are in
// cmd_config_kept.go. Their values are in Broker.options, which is guarded by the lock.

var configCommands = []command.Command{
	{Name: "config", Arity: -2, Group: "server", Since: "2.0.0", Complexity: "Depends on the sub-command.", Summary: "Commands about the configuration.", Subs: []*command.Command{
		{Name: "get", Arity: -3, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(configGet), Since: "2.0.0", Complexity: "O(N) where N is the number of settings", Summary: "Returns the settings whose names match."},
		{Name: "help", Arity: 2, Flags: command.Always, Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the sub-commands."},
		{Name: "resetstat", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(configResetStat), Since: "2.0.0", Complexity: "O(1)", Summary: "Resets the statistics of INFO."},
		{Name: "rewrite", Arity: 2, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(configRewrite), Since: "2.8.0", Complexity: "O(1)", Summary: "Refuses, as there is no configuration file."},
		{Name: "set", Arity: -4, Flags: command.Admin | command.NoScript | command.Always, Run: withBroker(configSet), Tips: "request_policy:all_nodes response_policy:all_succeeded", Since: "2.0.0", Complexity: "O(N) where N is the number of settings", Summary: "Changes settings."},
	}},
}

// A setting is one row of the table of settings.
type setting struct {
	get func(*Options) string

	// set parses a value into a copy of the options, which replaces them once all values
	// of a CONFIG SET are parsed. It returns what was expected, or "". Without set the
	// setting is immutable.
	set func(o *Options, value string) (expected string)
}

var settings = map[string]setting{
	"aclfile": {get: func(*Options) string { return "" }},
	"acl-pubsub-default": {
		func(o *Options) string {
			if o.access.anyChannel {
				return "allchannels"
			}
			return "resetchannels"
		},
		func(o *Options, value string) string {
			value = strings.ToLower(value)
			o.access.anyChannel = value == "allchannels"
			if !o.access.anyChannel && value != "resetchannels" {
				return notOneOf("allchannels resetchannels")
			}
			return ""
		},
	},
	"bind": {
		func(o *Options) string { return o.served.bind },
		func(o *Options, value string) string {
			if value != o.served.bind {
				return "Failed to bind to specified addresses."
			}
			return ""
		},
	},
	"dir": {get: func(*Options) string {
		dir, _ := os.Getwd() // "" where there is none
		return dir
	}},
	"port": {
		func(o *Options) string { return strconv.Itoa(o.served.port) },
		func(o *Options, value string) string {
			n, expected := parseSetting(value, 0, math.MaxUint16)
			if expected == "" && int(n) != o.served.port {
				return "Unable to listen on this port. Check server logs."
			}
			return expected
		},
	},
	"unixsocket":            {get: func(o *Options) string { return o.served.unix }},
	"min-replicas-to-write": minReplicas,
	"min-slaves-to-write":   minReplicas,
	"min-replicas-max-lag":  replicaLag,
	"min-slaves-max-lag":    replicaLag,
	"acllog-max-len":        integerSetting(func(o *Options) *int { return &o.access.logLength }, 0, math.MaxInt64),
	"cluster-enabled":       {get: func(*Options) string { return "no" }},
	"client-output-buffer-limit": {
		func(o *Options) string {
			return fmt.Sprintf("normal %v slave %v pubsub %v", o.Pending, replicaPending, o.PendingPubSub)
		},
		setPending,
	},
	"client-query-buffer-limit": bytesSetting(func(o *Options) *int { return &o.MaxQuery }, 1<<20, math.MaxInt64),
	"busy-reply-threshold":      busyAfter,
	"lua-time-limit":            busyAfter,
	"hash-max-listpack-entries": hashEntries,
	"hash-max-ziplist-entries":  hashEntries,
	"hash-max-listpack-value":   hashValue,
	"hash-max-ziplist-value":    hashValue,
	"hll-sparse-max-bytes":      bytesSetting(func(o *Options) *int { return &o.thresholds.HLLBytes }, 0, math.MaxInt64),
	"set-max-intset-entries":    integerSetting(func(o *Options) *int { return &o.thresholds.SetIntegers }, 0, math.MaxInt64),
	"stream-node-max-bytes":     bytesSetting(func(o *Options) *int { return &o.thresholds.StreamBytes }, 0, math.MaxInt64),
	"stream-node-max-entries":   integerSetting(func(o *Options) *int { return &o.thresholds.StreamEntries }, 0, math.MaxInt64),
	"zset-max-listpack-entries": zsetEntries,
	"zset-max-ziplist-entries":  zsetEntries,
	"zset-max-listpack-value":   zsetValue,
	"zset-max-ziplist-value":    zsetValue,
	"enable-debug-command":      {get: func(o *Options) string { return o.DebugCommand }},
	"databases":                 {get: func(o *Options) string { return strconv.Itoa(o.Databases) }},
	"latency-monitor-threshold": integerSetting(func(o *Options) *int { return &o.diagnostics.spikeFrom }, 0, math.MaxInt64),
	"latency-tracking":          boolSetting(func(o *Options) *bool { return &o.diagnostics.latencies }, true),
	"latency-tracking-info-percentiles": {
		func(o *Options) string { return o.diagnostics.percentiles },
		setPercentiles,
	},
	"maxclients": integerSetting(func(o *Options) *int { return &o.MaxClients }, 1, math.MaxUint32),
	"maxmemory":  bytesSetting(func(o *Options) *int { return &o.MaxMemory }, 0, math.MaxUint64),
	"maxmemory-policy": {
		func(o *Options) string { return o.eviction.Policy.String() },
		func(o *Options, value string) string {
			policy, valid := keyspace.ParsePolicy(strings.ToLower(value))
			if !valid {
				return notOneOf(strings.Join(keyspace.Policies[1:], " ") + " noeviction") // in Redis's order
			}
			o.eviction.Policy = policy
			return ""
		},
	},
	"maxmemory-samples": integerSetting(func(o *Options) *int { return &o.eviction.Samples }, 1, math.MaxInt32),
	"lfu-log-factor":    integerSetting(func(o *Options) *int { return &o.eviction.LogFactor }, 0, math.MaxInt32),
	"lfu-decay-time":    integerSetting(func(o *Options) *int { return &o.eviction.DecayTime }, 0, math.MaxInt32),
	"notify-keyspace-events": {
		func(o *Options) string { return o.events.String() },
		func(o *Options, value string) string {
			events, valid := keyspace.ParseEvents(value)
			if !valid {
				return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
			}
			o.KeyspaceEvents, o.events = events.String(), events
			return ""
		},
	},
	"proto-max-bulk-len": bytesSetting(func(o *Options) *int { return &o.MaxBulk }, 1<<20, math.MaxInt64),
	"protected-mode":     boolSetting(func(o *Options) *bool { return &o.Unprotected }, false),
	"requirepass": {
		func(o *Options) string { return o.Password },
		func(o *Options, value string) string { o.Password = value; return "" },
	},
	"slowlog-log-slower-than": integerSetting(func(o *Options) *int { return &o.diagnostics.slowFrom }, -1, math.MaxInt64),
	"slowlog-max-len":         integerSetting(func(o *Options) *int { return &o.diagnostics.slowLength }, 0, math.MaxInt64),
	"timeout": {
		func(o *Options) string { return strconv.FormatInt(int64(o.IdleTimeout/time.Second), 10) },
		func(o *Options, value string) string {
			seconds, expected := parseSetting(value, 0, math.MaxInt32)
			o.IdleTimeout = time.Duration(seconds) * time.Second
			return expected
		},
	},
	"tracking-table-max-keys": {
		func(o *Options) string { return strconv.Itoa(max(0, o.MaxTracked)) },
		func(o *Options, value string) string {
			n, expected := parseSetting(value, 0, math.MaxInt64)
			o.MaxTracked = int(min(n, math.MaxInt))
			if n == 0 {
				o.MaxTracked = -1
			}
			return expected
		},
	},
}

var (
	minReplicas = integerSetting(func(o *Options) *int { return &o.replicas.least }, 0, math.MaxInt32)
	replicaLag  = integerSetting(func(o *Options) *int { return &o.replicas.lag }, 0, math.MaxInt32)
	busyAfter   = integerSetting(func(o *Options) *int { return &o.busyAfter }, 0, math.MaxInt64)
	hashEntries = integerSetting(func(o *Options) *int { return &o.thresholds.HashEntries }, 0, math.MaxInt64)
	hashValue   = bytesSetting(func(o *Options) *int { return &o.thresholds.HashValue }, 0, math.MaxInt64)
	zsetEntries = integerSetting(func(o *Options) *int { return &o.thresholds.ZSetEntries }, 0, math.MaxInt64)
	zsetValue   = bytesSetting(func(o *Options) *int { return &o.thresholds.ZSetValue }, 0, math.MaxInt64)
)

// boolSetting is yes if the field equals yes, else no.
func boolSetting(field func(*Options) *bool, yes bool) setting {
	return setting{
		func(o *Options) string {
			if *field(o) == yes {
				return "yes"
			}
			return "no"
		},
		func(o *Options, value string) string {
			switch strings.ToLower(value) {
			case "yes":
				*field(o) = yes
			case "no":
				*field(o) = !yes
			default:
				return notYesOrNo
			}
			return ""
		},
	}
}

const (
	notYesOrNo = "argument must be 'yes' or 'no'"
	notMemory  = "argument must be a memory value"
)

// integerSetting is an integer from least to most.
func integerSetting(field func(*Options) *int, least, most int64) setting {
	return setting{
		func(o *Options) string { return strconv.Itoa(*field(o)) },
		func(o *Options, value string) string {
			n, expected := parseSetting(value, least, most)
			*field(o) = int(min(n, math.MaxInt))
			return expected
		},
	}
}

// bytesSetting is a memory value from least to most bytes.
func bytesSetting(field func(*Options) *int, least, most uint64) setting {
	return setting{
		func(o *Options) string { return strconv.Itoa(*field(o)) },
		func(o *Options, value string) string {
			n, isMemory := parseMemory(value)
			switch {
			case !isMemory:
				return notMemory
			case n < least || n > most:
				return notBetween(int64(least), math.MaxInt64)
			}
			*field(o) = int(min(n, math.MaxInt))
			return ""
		},
	}
}

// parseSetting parses an integer from least to most. It returns what was expected, or "".
func parseSetting(value string, least, most int64) (n int64, expected string) {
	n, isInt := resp.ParseInt([]byte(value))
	switch {
	case !isInt:
		return 0, "argument couldn't be parsed into an integer"
	case n < least || n > most:
		return 0, notBetween(least, most)
	}
	return n, ""
}

func notBetween(least, most int64) string {
	return fmt.Sprintf("argument must be between %d and %d inclusive", least, most)
}

// parseMemory parses a memory value: a number with k, m or g (powers of 1000), kb, mb or gb
// (powers of 1024), or no unit. An overflow gives the largest number, and "" gives 0.
func parseMemory(s string) (n uint64, valid bool) {
	digits := strings.TrimRight(s, "bBkKmMgG")
	units := map[string]uint64{"": 1, "b": 1, "k": 1e3, "m": 1e6, "g": 1e9, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
	unit, known := units[strings.ToLower(s[len(digits):])]
	if !known || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return math.MaxUint64, true
	}
	return n * unit, true
}

// replicaPending is Redis's limit for replicas; the broker has no replicas.
var replicaPending = PendingLimit{Hard: 256 << 20, Soft: 64 << 20, SoftFor: time.Minute}

// String is the limit as in client-output-buffer-limit: hard, soft, seconds.
func (l PendingLimit) String() string {
	return fmt.Sprintf("%d %d %d", max(0, l.Hard), max(0, l.Soft), l.SoftFor/time.Second)
}

// setPending parses groups of class, hard limit, soft limit and seconds.
func setPending(o *Options, value string) string {
	words := strings.Fields(value)
	if len(words)%4 != 0 {
		return "Wrong number of arguments in buffer limit configuration."
	}
	for group := range slices.Chunk(words, 4) {
		var target *PendingLimit
		switch strings.ToLower(group[0]) {
		case "normal":
			target = &o.Pending
		case "pubsub":
			target = &o.PendingPubSub
		case "slave", "replica":
			target = new(PendingLimit) // ignored
		default:
			return "Invalid client class specified in buffer limit configuration."
		}
		hard, valid1 := parseMemory(group[1])
		soft, valid2 := parseMemory(group[2])
		seconds, err := strconv.ParseInt(group[3], 10, 64)
		if !valid1 || !valid2 || err != nil || seconds < 0 || seconds > math.MaxInt32 {
			return "Error in hard, soft or soft_seconds setting in buffer limit configuration."
		}
		*target = PendingLimit{Hard: unlimited(hard), Soft: unlimited(soft), SoftFor: time.Duration(seconds) * time.Second}
	}
	return ""
}

// setPercentiles parses the percentiles that INFO latencystats shows.
func setPercentiles(o *Options, value string) string {
	const name = "latency-tracking-info-percentiles"
	var words []string
	if value != "" {
		words = strings.Split(value, " ")
	}
	for i, word := range words {
		p, isFloat := resp.ParseFloat([]byte(word))
		switch {
		case !isFloat:
			return "Invalid " + name + " parameters"
		case p < 0 || p > 100:
			return name + " parameters should sit between [0.0,100.0]"
		}
		words[i] = strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.6f", p), "0"), ".")
	}
	o.diagnostics.percentiles = strings.Join(words, " ")
	return ""
}

// unlimited turns Redis's 0, for no limit, into -1.
func unlimited(n uint64) int {
	if n == 0 {
		return -1
	}
	return int(min(n, math.MaxInt))
}

// configGet finds settings by name, which the reply repeats as given, or by pattern.
func configGet(c *call, args [][]byte) resp.Reply {
	found := map[string]string{} // name in the reply, by name
	find := func(name, as string) {
		if _, known := settings[name]; known && found[name] == "" {
			found[name] = as
		}
	}
	for _, arg := range args[2:] {
		if !bytes.ContainsAny(arg, "[*?") {
			find(strings.ToLower(string(arg)), string(arg))
			continue
		}
		for name := range settings {
			if glob.Match(string(arg), name, true) {
				find(name, name)
			}
		}
	}
	var pairs []resp.Reply
	for _, name := range slices.Sorted(maps.Keys(found)) {
		pairs = append(pairs, resp.BulkString(found[name]), resp.BulkString(settings[name].get(&c.options)))
	}
	return resp.Map(pairs...)
}

// configSet changes all given settings, or none.
func configSet(c *call, args [][]byte) resp.Reply {
	if len(args)%2 != 0 {
		return resp.SyntaxError
	}
	failed := func(arg any, why string) resp.Reply {
		return resp.Errorf("ERR CONFIG SET failed (possibly related to argument '%s') - %s", arg, why)
	}
	given := map[string]bool{}
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i]))
		s, known := settings[name]
		switch {
		case !known:
			return resp.Errorf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", args[i])
		case slices.Contains(protectedSettings, name):
			return failed(args[i], "can't set protected config")
		case s.set == nil:
			return failed(args[i], "can't set immutable config")
		case given[name]:
			return failed(args[i], "duplicate parameter")
		}
		given[name] = true
	}
	o := c.options
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i]))
		if expected := settings[name].set(&o, string(args[i+1])); expected != "" {
			return failed(name, expected)
		}
	}
	if c.options.MaxMemory == 0 && o.MaxMemory > 0 {
		c.MeasureAll()
	}
	if o.MaxMemory > 0 && o.MaxMemory != c.options.MaxMemory {
		c.evictSoon()
	}
	if given["requirepass"] {
		c.acl.defaultUser.SetPassword(o.Password)
	}
	c.options = o
	c.optionsChanged()
	c.applyDiagnostics()
	for _, s := range c.sessions {
		s.setIdleAlarm()
	}
	return resp.OK
}

func configRewrite(*call, [][]byte) resp.Reply {
	return resp.ErrorReply("ERR The server is running without a config file")
}

// configResetStat resets the counters of INFO.
func configResetStat(c *call, _ [][]byte) resp.Reply {
	c.resetStats()
	return resp.OK
}
