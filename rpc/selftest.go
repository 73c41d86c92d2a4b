package rpc

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// An unfitError is why tracking cannot be used with this Redis.
type unfitError struct{ why error }

func (e *unfitError) Error() string { return e.why.Error() }
func (e *unfitError) Unwrap() error { return e.why }

// startTracking turns tracking on and does to key all that is done for a call:
// reads it, pushes to it, sees the notice of that, pops it. An unfitError says
// that this Redis does not do it, or forbids it; any other error that it could not
// be tried.
func startTracking(c *conn, key string) error {
	noticed := false
	c.pushed = func(elements int) error {
		return readInvalidation(&c.reader, elements, func(k []byte) { noticed = noticed || string(k) == key })
	}
	out := appendCommand(nil, "CLIENT", "TRACKING", "ON")
	out = appendCommand(out, "EXISTS", key)
	out = appendPushes(out, []parcel{{key: key, messages: [][]byte{[]byte("probe")}, life: 10 * time.Second}})
	out = appendCommand(out, "LPOP", key)
	c.within(0)
	if _, err := c.send(out); err != nil {
		return err
	}
	fates := make([]fate, 1)
	var no error
	for _, step := range []struct {
		command string
		reply   func() error
	}{
		{"CLIENT TRACKING", func() error { _, err := c.status("OK"); return err }},
		{"EXISTS", func() error { _, err := c.integer(); return err }},
		{"RPUSH", func() error { return errors.Join(readPushes(&c.reader, fates), fates[0].why) }},
		{"LPOP", func() error { _, err := c.bulk(nil); return err }},
	} {
		err := step.reply()
		if err != nil && !isReply(err) && err != errNull {
			return err
		}
		if err != nil && no == nil {
			no = fmt.Errorf("%s: %w", step.command, err)
			if text := err.Error(); isReply(err) && !strings.HasPrefix(text, "ERR") && !strings.HasPrefix(text, "NOPERM") {
				return err // such as LOADING, READONLY, OOM: not the fault of tracking
			}
		}
	}
	if no == nil && !noticed {
		no = errors.New("no notice came of a change to a key that was tracked")
	}
	if no != nil {
		return &unfitError{no}
	}
	return c.anyTime()
}

// isKeyRefusal says whether Redis allows the commands, but not with that key.
func isKeyRefusal(err error) bool {
	return isReply(err) && strings.Contains(err.Error(), "NOPERM") && strings.Contains(err.Error(), "to access")
}

// readInvalidation reads a push message. If it is an invalidation it calls changed
// for each key, or with nil if it is about all keys.
func readInvalidation(r *reader, elements int, changed func(key []byte)) error {
	if elements == 0 {
		return nil
	}
	kind, err := r.view()
	if err != nil {
		return err
	}
	if string(kind) != "invalidate" || elements != 2 {
		return r.skip(elements - 1)
	}
	n, err := r.array()
	if err == errNull {
		changed(nil)
		return nil
	}
	for ; n > 0 && err == nil; n-- {
		var key []byte
		if key, err = r.view(); err == nil {
			changed(key)
		}
	}
	return err
}
