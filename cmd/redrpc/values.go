package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is a flag's value with a parser whose errors say what was expected; the
// flag's name and what came are added by pflag.
type value[T any] struct {
	to    *T
	kind  string // for the help
	parse func(string) (T, error)
}

func (v value[T]) String() string {
	if v.to == nil {
		return ""
	}
	switch to := any(*v.to).(type) {
	case json.RawMessage:
		return string(to)
	case []string:
		return strings.Join(to, " ")
	case fs.FileMode:
		return fmt.Sprintf("%#o", uint32(to))
	case time.Time:
		if to.IsZero() {
			return ""
		}
		return to.Format(time.RFC3339)
	case slog.Level:
		return strings.ToLower(to.String())
	case []float64:
		texts := make([]string, len(to))
		for i, v := range to {
			texts[i] = strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strings.Join(texts, ",")
	case time.Duration:
		if to == 0 {
			return "" // which help does not show
		}
	}
	if text := fmt.Sprint(*v.to); text != "[]" {
		return text
	}
	return "" // an empty list is no default that help should show
}

func (v value[T]) Type() string { return v.kind }

func (v value[T]) Set(s string) error {
	parsed, err := v.parse(s)
	if err == nil {
		*v.to = parsed
	}
	return err
}

// count takes a whole number from low to high.
func count(to *int, low, high int) value[int] {
	return value[int]{to, "N", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("expected a whole number from %d to %d", low, high)
		}
		return n, nil
	}}
}

// positive takes a time longer than 0.
func positive(to *time.Duration) value[time.Duration] {
	return value[time.Duration]{to, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return 0, errors.New("expected a time longer than 0, such as 500ms, 10s or 1m30s")
		}
		return d, nil
	}}
}

// notNegative takes a time, 0 too.
func notNegative(to *time.Duration) value[time.Duration] {
	return value[time.Duration]{to, "TIME", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, errors.New("expected a time of 0 or more, such as 0s, 500ms or 10s")
		}
		return d, nil
	}}
}

// oneOf takes one of the choices.
func oneOf(to *string, choices ...string) value[string] {
	return value[string]{to, strings.Join(choices, "|"), func(s string) (string, error) {
		if !slices.Contains(choices, s) {
			return "", fmt.Errorf("expected %s", strings.Join(choices, " or "))
		}
		return s, nil
	}}
}

// name takes text that is not empty.
func name(to *string, kind string) value[string] {
	return value[string]{to, kind, func(s string) (string, error) {
		if s == "" {
			return "", errors.New("expected text that is not empty")
		}
		return s, nil
	}}
}

// anyText takes any text, also none.
func anyText(to *string, kind string) value[string] {
	return value[string]{to, kind, func(s string) (string, error) { return s, nil }}
}

// object takes a JSON object and keeps it as it is.
func object(to *json.RawMessage) value[json.RawMessage] {
	return value[json.RawMessage]{to, "JSON", func(s string) (json.RawMessage, error) {
		raw := json.RawMessage(bytes.TrimSpace([]byte(s)))
		if !json.Valid(raw) || raw[0] != '{' {
			return nil, errors.New(`expected a JSON object, such as {"a": 1, "b": 2}`)
		}
		return raw, nil
	}}
}

// withoutColon takes a part of a key that has colons around it.
func withoutColon(to *string) value[string] {
	return value[string]{to, "TEXT", func(s string) (string, error) {
		if s == "" || strings.Contains(s, ":") {
			return "", errors.New("expected text that is not empty and has no colon")
		}
		return s, nil
	}}
}
