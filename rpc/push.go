package rpc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A parcel is what is appended to one list, which is then to live for a time.
type parcel struct {
	key      string
	messages [][]byte
	life     time.Duration
}

// A fate is what became of a parcel that was sent.
type fate struct {
	kind fateKind
	why  error // of what was refused
}

type fateKind int

const (
	pushed  fateKind = iota
	refused          // Redis said no, so it was not appended
	aborted          // another one was refused, so this one was not appended
)

// appendPushes appends one transaction for all of ps: each is pushed and its
// list's life set, both or neither.
func appendPushes(b []byte, ps []parcel) []byte {
	b = append(b, "*1\r\n$5\r\nMULTI\r\n"...)
	for i := range ps {
		p := &ps[i]
		b = appendHeader(b, '*', 2+len(p.messages))
		b = append(b, "$5\r\nRPUSH\r\n"...)
		b = appendArg(b, p.key)
		for _, m := range p.messages {
			b = appendArg(b, m)
		}
		b = append(b, "*3\r\n$6\r\nEXPIRE\r\n"...)
		b = appendArg(b, p.key)
		b = appendArg(b, strconv.FormatInt(seconds(p.life), 10))
	}
	return append(b, "*1\r\n$4\r\nEXEC\r\n"...)
}

// seconds rounds up to what EXPIRE takes.
func seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// readPushes reads the replies to appendPushes and returns the fates of len(fates)
// parcels. After an error they are unknown, and nothing can be read any more.
func readPushes(r *reader, fates []fate) error {
	clear(fates)
	_, multi := r.status("OK")
	if multi != nil && !isReply(multi) {
		return multi
	}
	r.multi = multi == nil
	anyRefused := false
	for i := range fates {
		push, err := r.queued()
		if err != nil {
			return err
		}
		expire, err := r.queued()
		if err != nil {
			return err
		}
		if push == nil && multi == nil {
			push = expire // either keeps the transaction from running
		}
		if push != nil { // such as OOM, READONLY, NOPERM
			fates[i] = fate{refused, push}
			anyRefused = true
		}
	}
	n, err := r.array()
	switch {
	case err == nil && n == 2*len(fates):
		return readExec(r, fates)
	case err == nil:
		return fmt.Errorf("expected %d replies from EXEC, got %d", 2*len(fates), n)
	case errors.Is(err, errNull) || !isReply(err):
		return fmt.Errorf("expected what EXEC did: %w", err)
	case multi != nil: // it is forbidden, so each command ran at once
		return nil
	case !strings.HasPrefix(err.Error(), "EXECABORT") && !isElsewhere(err):
		return fmt.Errorf("expected EXEC to run or to abort: %w", err)
	}
	for i := range fates {
		switch {
		case fates[i].kind == refused:
		case anyRefused:
			fates[i] = fate{kind: aborted}
		default: // EXEC itself was refused
			fates[i] = fate{refused, err}
		}
	}
	return nil
}

// queued reads a status or an integer, and returns an error of Redis apart from
// the others.
func (r *reader) queued() (no, broken error) {
	kind, text, err := r.header()
	switch {
	case err == nil && (kind == '+' || kind == ':'):
		return nil, nil
	case err == nil:
		return nil, unexpected("QUEUED", kind, text)
	case isReply(err):
		return err, nil
	}
	return nil, err
}

// readExec reads what each command of the transaction did.
func readExec(r *reader, fates []fate) error {
	for i := range fates {
		switch _, err := r.integer(); {
		case err == nil:
		case isReply(err): // such as WRONGTYPE
			fates[i] = fate{refused, err}
		default:
			return err
		}
		if err := r.skip(1); err != nil {
			return err
		}
	}
	return nil
}
