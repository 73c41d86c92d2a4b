//go:build unix

package broker

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"redrpc/broker/internal/resp"
)

// Replies that have been read.

// An answer is a reply that has been read.
type answer struct {
	kind  byte // the type byte of the protocol
	null  bool // $-1
	text  string
	items []*answer // without the pushes that came between them
	extra []*answer // these pushes
	after []int     // how many items came before each
}

// parseReplies reads all replies in p. It reports false if the last is incomplete.
func parseReplies(p []byte) (values []*answer, complete bool) {
	for len(p) > 0 {
		v, rest, ok := parseReply(p)
		if !ok {
			return values, false
		}
		values = append(values, v)
		p = rest
	}
	return values, true
}

func parseReply(p []byte) (v *answer, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(p, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, nil, false
	}
	v = &answer{kind: line[0], text: string(line[1:])}
	n, err := strconv.Atoi(v.text)
	switch {
	case strings.IndexByte("$=", v.kind) >= 0 && err == nil && n >= 0:
		if len(rest) < n+2 {
			return nil, nil, false
		}
		v.text = string(rest[:n])
		return v, rest[n+2:], true
	case v.kind == '$':
		v.null = true
		return v, rest, true
	case v.kind == '%':
		n *= 2
	case strings.IndexByte("*~>", v.kind) < 0:
		return v, rest, true
	}
	if v.null = n < 0; !v.null {
		v.text = ""
	}
	for len(v.items) < n {
		if len(rest) == 0 { // a client that asked for silence within EXEC gets no more
			v.items = append(v.items, &answer{kind: '!', text: fmt.Sprint(n - len(v.items))})
			return v, rest, true
		}
		item, after, ok := parseReply(rest)
		if !ok {
			return nil, nil, false
		}
		rest = after
		if item.isPush() {
			v.extra, v.after = append(v.extra, item), append(v.after, len(v.items))
		} else {
			v.items = append(v.items, item)
		}
	}
	return v, rest, true
}

// String is the same for two values if and only if they are equal.
func (v *answer) String() string {
	if v.items == nil && v.extra == nil {
		return fmt.Sprintf("%c%q", v.kind, v.text)
	}
	return fmt.Sprintf("%c%v", v.kind, v.woven())
}

// woven returns the items and the pushes between them as they came.
func (v *answer) woven() []*answer {
	var all []*answer
	done := 0
	for i, push := range v.extra {
		upTo := max(done, min(v.after[i], len(v.items)))
		all = append(append(all, v.items[done:upTo]...), push)
		done = upTo
	}
	return append(all, v.items[done:]...)
}

// number is an integer, or 0.
func (v *answer) number() int64 {
	n, _ := resp.ParseInt([]byte(v.text)) // 0 for what is no number
	return n
}

func (v *answer) isScan() bool {
	return len(v.items) == 2 && v.items[0].kind == '$' && v.items[1].kind == '*'
}

// isPush reports whether a value came out of band, in either protocol.
func (v *answer) isPush() bool {
	if v.kind != '>' && (v.kind != '*' || len(v.items) < 3) {
		return false
	}
	return len(v.items) > 0 && slices.Contains([]string{"message", "pmessage", "invalidate", "tracking-redir-broken"}, v.items[0].text)
}

// isSubscription reports whether a value is the answer to SUBSCRIBE or the like.
func (v *answer) isSubscription() bool {
	return len(v.items) == 3 && strings.HasSuffix(v.items[0].text, "subscribe") && v.items[2].kind == ':'
}

// flatten puts the replies in the answer to EXEC, the first array, in its place.
// The array is not to be trusted: a subscription in a transaction is several
// replies where one is announced.
func flatten(values []*answer) []*answer {
	for i, v := range values {
		if v.kind == '*' && !v.isPush() {
			return slices.Concat(values[:i], v.woven(), values[i+1:])
		}
	}
	return values
}

// hoist puts the pushes in the middle of replies before them.
func hoist(values []*answer) []*answer {
	var all []*answer
	for _, v := range values {
		all = append(append(all, v.pull()...), v)
	}
	return all
}

// pull takes the pushes out of a value, and of those in it.
func (v *answer) pull() []*answer {
	pushes := v.extra
	v.extra = nil
	for _, item := range v.items {
		pushes = append(pushes, item.pull()...)
	}
	return pushes
}

// pairs calls f for the replies of both servers, as far as they are of one kind.
func pairs(redis, broker []*answer, f func(r, b *answer)) {
	for i, r := range redis {
		if i >= len(broker) || r.kind != broker[i].kind {
			return
		}
		if !r.isPush() && !r.isShown() && !r.isSubscription() {
			f(r, broker[i])
		}
	}
}

func byText(a, b *answer) int { return strings.Compare(a.String(), b.String()) }

// readable shows replies as transcripts do.
func readable(p []byte) []string {
	var lines []string
	in := bufio.NewReader(bytes.NewReader(p))
	for {
		line, err := readReply(in)
		if err != nil {
			return lines
		}
		lines = append(lines, line)
	}
}
