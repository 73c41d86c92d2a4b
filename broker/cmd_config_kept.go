package broker

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Settings that are kept but have no effect, as the broker has no disk, replicas, cluster
// or process. Set-up scripts set them, and clients query them. With those of cmd_config.go
// they are all settings of redis-server 7.0.15 but the hidden ones.

// A keptSetting is one row of the table.
type keptSetting struct {
	names string // the second is an alias
	value string // until CONFIG SET changes it

	// check validates a value as Redis does. It returns the value as CONFIG GET shows it,
	// or what was expected. Without check the setting is immutable.
	check func(value string) (shown, expected string)
}

var keptSettings = []keptSetting{
	{"active-defrag-cycle-max", "25", whole(1, 99)},
	{"active-defrag-cycle-min", "1", whole(1, 99)},
	{"active-defrag-ignore-bytes", "104857600", bytesFrom(1, math.MaxInt64)},
	{"active-defrag-max-scan-fields", "1000", whole(1, math.MaxInt64)},
	{"active-defrag-threshold-lower", "10", whole(0, 1000)},
	{"active-defrag-threshold-upper", "100", whole(0, 1000)},
	{"active-expire-effort", "1", whole(1, 10)},
	{"activedefrag", "no", onlyNoDefrag},
	{"activerehashing", "yes", yesOrNo},
	{"always-show-logo", "no", nil},
	{"aof-disable-auto-gc", "no", yesOrNo},
	{"aof-load-truncated", "yes", yesOrNo},
	{"aof-rewrite-incremental-fsync", "yes", yesOrNo},
	{"aof-timestamp-enabled", "no", yesOrNo},
	{"aof-use-rdb-preamble", "yes", yesOrNo},
	{"aof_rewrite_cpulist", "", nil},
	{"appenddirname", "appendonlydir", nil},
	{"appendfilename", "appendonly.aof", nil},
	{"appendonly", "no", yesOrNo},
	{"appendfsync", "everysec", oneOf("everysec always no")},
	{"auto-aof-rewrite-min-size", "67108864", bytesFrom(0, math.MaxInt64)},
	{"auto-aof-rewrite-percentage", "100", whole(0, math.MaxInt32)},
	{"bgsave_cpulist", "", nil},
	{"bind-source-addr", "", anyText},
	{"bio_cpulist", "", nil},
	{"cluster-allow-pubsubshard-when-down", "yes", yesOrNo},
	{"cluster-allow-reads-when-down", "no", yesOrNo},
	{"cluster-allow-replica-migration", "yes", yesOrNo},
	{"cluster-announce-bus-port", "0", whole(0, math.MaxUint16)},
	{"cluster-announce-hostname", "", hostname},
	{"cluster-announce-ip", "", anyText},
	{"cluster-announce-port", "0", whole(0, math.MaxUint16)},
	{"cluster-announce-tls-port", "0", whole(0, math.MaxUint16)},
	{"cluster-config-file", "nodes.conf", nil},
	{"cluster-link-sendbuf-limit", "0", bytesFrom(0, math.MaxUint64)},
	{"cluster-migration-barrier", "1", whole(0, math.MaxInt32)},
	{"cluster-node-timeout", "15000", whole(0, math.MaxInt64)},
	{"cluster-port", "0", nil},
	{"cluster-preferred-endpoint-type", "ip", oneOf("ip hostname unknown-endpoint")},
	{"cluster-replica-no-failover cluster-slave-no-failover", "no", yesOrNo},
	{"cluster-replica-validity-factor cluster-slave-validity-factor", "10", whole(0, math.MaxInt32)},
	{"cluster-require-full-coverage", "yes", yesOrNo},
	{"crash-log-enabled", "yes", yesOrNo},
	{"crash-memcheck-enabled", "yes", yesOrNo},
	{"daemonize", "no", nil},
	{"dbfilename", "dump.rdb", nil},
	{"disable-thp", "yes", nil},
	{"dynamic-hz", "yes", yesOrNo},
	{"enable-module-command", "no", nil},
	{"enable-protected-configs", "no", nil},
	{"hz", "10", hertz},
	{"ignore-warnings", "", anyText},
	{"io-threads", "1", nil},
	{"io-threads-do-reads", "no", nil},
	{"jemalloc-bg-thread", "yes", yesOrNo},
	{"lazyfree-lazy-eviction", "no", yesOrNo},
	{"lazyfree-lazy-expire", "no", yesOrNo},
	{"lazyfree-lazy-server-del", "no", yesOrNo},
	{"lazyfree-lazy-user-del", "no", yesOrNo},
	{"lazyfree-lazy-user-flush", "no", yesOrNo},
	{"list-compress-depth", "0", whole(0, math.MaxInt32)},
	{"list-max-listpack-size list-max-ziplist-size", "-2", whole(math.MinInt32, math.MaxInt32)},
	{"logfile", "", nil},
	{"loglevel", "notice", oneOf("debug verbose notice warning")},
	{"masterauth", "", anyText},
	{"masteruser", "", anyText},
	{"maxmemory-clients", "0", bytesOrPercent},
	{"maxmemory-eviction-tenacity", "10", whole(0, 100)},
	{"no-appendfsync-on-rewrite", "no", yesOrNo},
	{"oom-score-adj", "no", oneOf("no yes relative absolute")},
	{"oom-score-adj-values", "0 200 800", oomScores},
	{"pidfile", "", nil},
	{"proc-title-template", "{title} {listen-addr} {server-mode}", processTitle},
	{"propagation-error-behavior", "ignore", oneOf("ignore panic panic-on-replicas")},
	{"rdb-del-sync-files", "no", yesOrNo},
	{"rdb-save-incremental-fsync", "yes", yesOrNo},
	{"rdbchecksum", "yes", nil},
	{"rdbcompression", "yes", yesOrNo},
	{"repl-backlog-size", "1048576", bytesFrom(1, math.MaxInt64)},
	{"repl-backlog-ttl", "3600", whole(0, math.MaxInt64)},
	{"repl-disable-tcp-nodelay", "no", yesOrNo},
	{"repl-diskless-load", "disabled", oneOf("disabled on-empty-db swapdb")},
	{"repl-diskless-sync", "yes", yesOrNo},
	{"repl-diskless-sync-delay", "5", whole(0, math.MaxInt32)},
	{"repl-diskless-sync-max-replicas", "0", whole(0, math.MaxInt32)},
	{"repl-ping-replica-period repl-ping-slave-period", "10", whole(1, math.MaxInt32)},
	{"repl-timeout", "60", whole(1, math.MaxInt32)},
	{"replica-announce-ip slave-announce-ip", "", anyText},
	{"replica-announce-port slave-announce-port", "0", whole(0, math.MaxUint16)},
	{"replica-announced", "yes", yesOrNo},
	{"replica-ignore-disk-write-errors", "no", yesOrNo},
	{"replica-ignore-maxmemory slave-ignore-maxmemory", "yes", yesOrNo},
	{"replica-lazy-flush slave-lazy-flush", "no", yesOrNo},
	{"replica-priority slave-priority", "100", whole(0, math.MaxInt32)},
	{"replica-read-only slave-read-only", "yes", yesOrNo},
	{"replica-serve-stale-data slave-serve-stale-data", "yes", yesOrNo},
	{"replicaof slaveof", "", nil},
	{"save", "", savePoints},
	{"sanitize-dump-payload", "no", oneOf("no yes clients")},
	{"server_cpulist", "", nil},
	{"set-proc-title", "yes", nil},
	{"shutdown-on-sigint", "default", anyOf("default save nosave now force")},
	{"shutdown-on-sigterm", "default", anyOf("default save nosave now force")},
	{"shutdown-timeout", "10", whole(0, math.MaxInt32)},
	{"socket-mark-id", "0", nil},
	{"stop-writes-on-bgsave-error", "yes", yesOrNo},
	{"supervised", "no", nil},
	{"syslog-enabled", "no", nil},
	{"syslog-facility", "local0", nil},
	{"syslog-ident", "redis", nil},
	{"tcp-backlog", "511", nil},
	{"tcp-keepalive", "300", whole(0, math.MaxInt32)},
	{"tls-auth-clients", "yes", oneOf("no yes optional")},
	{"tls-ca-cert-dir", "", anyText},
	{"tls-ca-cert-file", "", anyText},
	{"tls-cert-file", "", anyText},
	{"tls-ciphers", "", anyText},
	{"tls-ciphersuites", "", anyText},
	{"tls-client-cert-file", "", anyText},
	{"tls-client-key-file", "", anyText},
	{"tls-client-key-file-pass", "", anyText},
	{"tls-cluster", "no", noTLS},
	{"tls-dh-params-file", "", anyText},
	{"tls-key-file", "", anyText},
	{"tls-key-file-pass", "", anyText},
	{"tls-port", "0", noTLSPort},
	{"tls-prefer-server-ciphers", "no", yesOrNo},
	{"tls-protocols", "", anyText},
	{"tls-replication", "no", noTLS},
	{"tls-session-cache-size", "20480", whole(0, math.MaxInt32)},
	{"tls-session-cache-timeout", "300", whole(0, math.MaxInt32)},
	{"tls-session-caching", "yes", yesOrNo},
	{"unixsocketperm", "0", nil},
}

// protectedSettings are protected by enable-protected-configs.
var protectedSettings = []string{"dbfilename", "dir"}

func init() {
	for _, k := range keptSettings {
		s := k.setting()
		for name := range strings.FieldsSeq(k.names) {
			settings[name] = s
		}
	}
}

// kept is the value of a setting that the tables have, under any of its names.
func (b *Broker) kept(name string) string { return settings[name].get(&b.options) }

// setting is the row in the table of all settings.
func (k *keptSetting) setting() setting {
	s := setting{get: func(o *Options) string {
		if value, set := o.kept[k.names]; set {
			return value
		}
		return k.value
	}}
	if k.check == nil {
		return s
	}
	s.set = func(o *Options, value string) string {
		shown, expected := k.check(value)
		if expected == "" {
			o.kept = maps.Clone(o.kept) // which the options in force share
			o.kept[k.names] = shown
		}
		return expected
	}
	return s
}

func anyText(value string) (shown, expected string) { return value, "" }

func yesOrNo(value string) (shown, expected string) {
	if shown = strings.ToLower(value); shown != "yes" && shown != "no" {
		return "", notYesOrNo
	}
	return shown, ""
}

// oneOf accepts one of the given words.
func oneOf(words string) func(string) (string, string) {
	return func(value string) (shown, expected string) {
		if shown = strings.ToLower(value); !slices.Contains(strings.Fields(words), shown) {
			return "", notOneOf(words)
		}
		return shown, ""
	}
}

// anyOf accepts some of the given words. The first stands for none of the others.
func anyOf(words string) func(string) (string, string) {
	return func(value string) (shown, expected string) {
		given := strings.Split(strings.ToLower(value), " ")
		var chosen []string
		known := strings.Fields(words)
		for _, word := range known[1:] {
			if slices.Contains(given, word) {
				chosen = append(chosen, word)
			}
		}
		for _, word := range given {
			if !slices.Contains(known, word) {
				return "", notOneOf(words)
			}
		}
		if len(chosen) == 0 {
			return known[0], ""
		}
		return strings.Join(chosen, " "), ""
	}
}

func notOneOf(words string) string {
	return "argument(s) must be one of the following: " + strings.Join(strings.Fields(words), ", ")
}

// whole accepts an integer from least to most.
func whole(least, most int64) func(string) (string, string) {
	return func(value string) (shown, expected string) {
		n, expected := parseSetting(value, least, most)
		return strconv.FormatInt(n, 10), expected
	}
}

// bytesFrom accepts a memory value.
func bytesFrom(least, most uint64) func(string) (string, string) {
	return func(value string) (shown, expected string) {
		n, isMemory := parseMemory(value)
		switch {
		case !isMemory:
			return "", notMemory
		case n < least || n > most:
			return "", notBetween(int64(least), math.MaxInt64)
		}
		return strconv.FormatUint(n, 10), ""
	}
}

// bytesOrPercent accepts a memory value or a percentage of maxmemory.
func bytesOrPercent(value string) (shown, expected string) {
	const neither, tooManyPercent = "argument must be a memory or percent value", "percentage argument must be less or equal to 100"
	if percent, isPercent := strings.CutSuffix(value, "%"); isPercent {
		n, err := strconv.ParseUint(percent, 10, 63)
		switch {
		case err != nil:
			return "", neither
		case n > 100:
			return "", tooManyPercent
		}
		return strconv.FormatUint(n, 10) + "%", ""
	}
	n, isMemory := parseMemory(value)
	switch {
	case !isMemory:
		return "", neither
	case n <= math.MaxInt64:
		return strconv.FormatUint(n, 10), ""
	case -n > 100: // Redis stores percentages as negative numbers
		return "", tooManyPercent
	}
	return strconv.FormatUint(-n, 10) + "%", ""
}

// savePoints accepts pairs of seconds and changes.
func savePoints(value string) (shown, expected string) {
	words := strings.Split(value, " ")
	if value == "" {
		words = nil
	}
	if len(words)%2 != 0 {
		return "", "Invalid save parameters"
	}
	for i, word := range words {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < int64(1-i%2) {
			return "", "Invalid save parameters"
		}
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " "), ""
}

// hertz clamps the value to Redis's range.
func hertz(value string) (shown, expected string) {
	n, expected := parseSetting(value, 0, math.MaxInt32)
	return strconv.FormatInt(min(max(n, 1), 500), 10), expected
}

func hostname(value string) (shown, expected string) {
	switch {
	case len(value) >= 256:
		return "", "Hostnames must be less than 256 characters"
	case !hostnameForm.MatchString(value):
		return "", "Hostnames may only contain alphanumeric characters, hyphens or dots"
	}
	return value, ""
}

func oomScores(value string) (shown, expected string) {
	words := strings.Split(value, " ")
	if len(words) != 3 {
		return "", "wrong number of arguments"
	}
	for _, word := range words {
		if n, err := strconv.Atoi(word); err != nil || n < -2000 || n > 2000 {
			return "", "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
		}
	}
	return value, ""
}

// processTitle accepts a template that has more than {title}.
func processTitle(value string) (shown, expected string) {
	if !titleForm.MatchString(value) || strings.Trim(strings.ReplaceAll(value, "{title}", ""), " ") == "" {
		return "", "template format is invalid or contains unknown variables"
	}
	return value, ""
}

var (
	hostnameForm = regexp.MustCompile(`^[a-zA-Z0-9.-]*$`)
	titleForm    = regexp.MustCompile(`^(?s:[^{]|\{\{|\{(?:title|listen-addr|server-mode|port|tls-port|config-file|unixsocket)\})+$`)
)

// onlyNoDefrag refuses defragmentation, as a Redis without jemalloc does.
func onlyNoDefrag(value string) (shown, expected string) {
	if shown, expected = yesOrNo(value); shown == "yes" {
		return "", "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc like the one shipped by default with the Redis source distribution"
	}
	return shown, expected
}

const noCertificate = "Unable to update TLS configuration. Check server logs."

// noTLSPort refuses a TLS port, as Redis does without a certificate.
func noTLSPort(value string) (shown, expected string) {
	n, expected := parseSetting(value, 0, math.MaxUint16)
	if n != 0 {
		return "", noCertificate
	}
	return "0", expected
}

// noTLS refuses TLS for replication and the cluster bus likewise.
func noTLS(value string) (shown, expected string) {
	if shown, expected = yesOrNo(value); shown == "yes" {
		return "", noCertificate
	}
	return shown, expected
}
