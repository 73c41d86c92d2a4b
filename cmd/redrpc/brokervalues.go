package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// Values of the flags of redrpc broker.

// addresses takes a host and a port each time it is given.
func addresses(to *[]string) value[[]string] {
	return value[[]string]{to, "HOST:PORT", func(s string) ([]string, error) {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return nil, errors.New("expected a host and a port, such as 127.0.0.1:6379, :6379 or [::1]:0")
		}
		return append(*to, s), nil
	}}
}

// permissions takes those of a file, in octal digits.
func permissions(to *fs.FileMode) value[fs.FileMode] {
	return value[fs.FileMode]{to, "MODE", func(s string) (fs.FileMode, error) {
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n == 0 || n > uint64(fs.ModePerm) {
			return 0, errors.New("expected permissions in octal digits, such as 0700 or 0660")
		}
		return fs.FileMode(n), nil
	}}
}

// memory takes a number of bytes with a unit, as Redis's maxmemory: powers of 1000
// without a b, of 1024 with it.
func memory(to *int) value[int] {
	units := map[string]uint64{"": 1, "b": 1, "k": 1e3, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30}
	return value[int]{to, "SIZE", func(s string) (int, error) {
		digits := strings.TrimRight(s, "bBkKmMgG")
		n, err := strconv.ParseUint(digits, 10, 40) // a tebibyte, and not more than an int when multiplied
		unit, known := units[strings.ToLower(s[len(digits):])]
		if err != nil || !known || n*unit > min(1<<50, math.MaxInt) {
			return 0, errors.New("expected a number of bytes, such as 1000000, 512kb, 100mb or 1gb")
		}
		return int(n * unit), nil
	}}
}

// evictionPolicy takes the name of one of Redis's maxmemory-policy.
func evictionPolicy(to *string) value[string] {
	choices := strings.Fields("noeviction allkeys-lru allkeys-lfu allkeys-random volatile-lru volatile-lfu volatile-random volatile-ttl")
	policy := oneOf(to, choices...)
	policy.kind = "POLICY"
	return policy
}

// keyspaceEvents takes the letters of Redis's notify-keyspace-events.
func keyspaceEvents(to *string) value[string] {
	return value[string]{to, "LETTERS", func(s string) (string, error) {
		if strings.Trim(s, "KEAg$lshzxetdnm") != "" {
			return "", errors.New("expected letters out of KEAg$lshzxetdnm, such as KEA or Ex")
		}
		return s, nil
	}}
}

// wholeSeconds takes a time of 0 or more.
func wholeSeconds(to *time.Duration) value[time.Duration] {
	return value[time.Duration]{to, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d%time.Second != 0 {
			return 0, errors.New("expected whole seconds, such as 0s, 30s or 5m")
		}
		return d, nil
	}}
}

// momentOrNow takes a date with a time of day, or now.
func momentOrNow(to *time.Time) value[time.Time] {
	return value[time.Time]{to, "TIME", func(s string) (time.Time, error) {
		if s == "now" {
			return time.Now(), nil
		}
		at, err := time.Parse(time.RFC3339, s)
		if err != nil || at.Unix() <= 0 || at.Year() > 2200 {
			return time.Time{}, errors.New("expected now, or a moment from 1970 to 2200 such as 2026-01-31T12:00:00Z")
		}
		return at, nil
	}}
}

// logLevel takes the name of a level.
func logLevel(to *slog.Level) value[slog.Level] {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return value[slog.Level]{to, "debug|info|warn|error", func(s string) (slog.Level, error) {
		level, known := levels[s]
		if !known {
			return 0, fmt.Errorf("expected debug, info, warn or error")
		}
		return level, nil
	}}
}
