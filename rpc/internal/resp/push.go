package resp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Push is what is appended to one list, which then lives for a time.
type Push struct {
	Key      string
	Messages [][]byte
	Life     time.Duration // of the list, from now on

	// Again says that the messages may be in the list already: it is deleted before.
	Again bool
}

// A PushOutcome is what became of a Push that was written.
type PushOutcome struct {
	Kind PushKind
	Err  error // of what was refused
}

// PushKind says what became of a Push.
type PushKind int

const (
	Pushed  PushKind = iota
	Refused          // Redis said no, so it was not appended
	Aborted          // another one was refused, so this one was not appended
)

// AppendPushes appends one transaction for all of ps: each list is appended to and its
// life set, both or neither.
func AppendPushes(b []byte, ps []Push) []byte {
	for i := range ps {
		if ps[i].Again {
			b = AppendCommand(b, "DEL", ps[i].Key)
		}
	}
	b = append(b, "*1\r\n$5\r\nMULTI\r\n"...)
	for i := range ps {
		p := &ps[i]
		b = AppendArray(b, 2+len(p.Messages))
		b = append(b, "$5\r\nRPUSH\r\n"...)
		b = AppendArg(b, p.Key)
		for _, m := range p.Messages {
			b = AppendArg(b, m)
		}
		b = append(b, "*3\r\n$6\r\nEXPIRE\r\n"...)
		b = AppendArg(b, p.Key)
		b = AppendArg(b, strconv.FormatInt(Seconds(p.Life), 10))
	}
	return append(b, "*1\r\n$4\r\nEXEC\r\n"...)
}

// Seconds rounds up to the whole seconds that EXPIRE takes.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// ReadPushes reads the replies to AppendPushes of ps into outcomes, of which there are as
// many. After an error the outcomes are unknown, and nothing can be read any more. multi
// reports whether Redis took MULTI: then nothing is done before EXEC.
func (r *Reader) ReadPushes(ps []Push, outcomes []PushOutcome) (multi bool, err error) {
	clear(outcomes)
	for i := range ps {
		if ps[i].Again {
			if _, err := r.Skip(); err != nil {
				return false, err
			}
		}
	}
	noMulti := r.Status()
	if noMulti != nil && !IsError(noMulti) {
		return false, noMulti
	}
	anyRefused := false
	for i := range outcomes {
		push, err := r.Skip()
		if err != nil {
			return noMulti == nil, err
		}
		if isProtocolError(push) { // Redis reads no further, so nothing of the transaction is done
			for i := range outcomes {
				outcomes[i] = PushOutcome{Aborted, push}
			}
			outcomes[i].Kind = Refused
			return true, errCut
		}
		expire, err := r.Skip()
		if err != nil {
			return noMulti == nil, err
		}
		if push == nil && noMulti == nil {
			push = expire // either keeps the transaction from running
		}
		if push != nil { // such as OOM, READONLY, NOPERM
			outcomes[i] = PushOutcome{Refused, push}
			anyRefused = true
		}
	}
	n, err := r.Array()
	switch {
	case err == nil && n == 2*len(outcomes):
		return true, r.readExec(outcomes)
	case err == nil:
		return true, fmt.Errorf("expected %d replies from EXEC, got %d", 2*len(outcomes), n)
	case errors.Is(err, ErrNull) || !IsError(err):
		return noMulti == nil, fmt.Errorf("expected what EXEC did: %w", err)
	case noMulti != nil: // it is forbidden, so each command ran at once
		return false, nil
	}
	text := err.Error()
	if _, why, ok := strings.Cut(text, "EXECABORT Transaction discarded because of: "); ok { // of EXEC itself
		err = Error(why)
	}
	for i := range outcomes {
		switch {
		case outcomes[i].Kind == Refused:
		case anyRefused:
			outcomes[i].Kind = Aborted
		default: // EXEC itself was refused
			outcomes[i] = PushOutcome{Refused, err}
		}
	}
	if !strings.HasPrefix(text, "EXECABORT") {
		return true, errOpen
	}
	return true, nil
}

// What ReadPushes returns if the outcomes are known, but nothing can be read any more.
var (
	errCut  = errors.New("the connection is closed by Redis because of what it was sent")
	errOpen = errors.New("the transaction may still be open")
)

func isProtocolError(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "ERR Protocol error")
}

// IsCut reports whether err is of ReadPushes and Redis closes the connection because of
// what it was sent, so it has read nothing of what was sent after that.
func IsCut(err error) bool { return err == errCut }

// IsSettled reports whether err is of ReadPushes and the outcomes are known all the same.
func IsSettled(err error) bool { return err == errCut || err == errOpen }

// readExec reads what each command of the transaction did.
func (r *Reader) readExec(outcomes []PushOutcome) error {
	for i := range outcomes {
		refused, err := r.Skip() // such as WRONGTYPE
		if err != nil {
			return err
		}
		if refused != nil {
			outcomes[i] = PushOutcome{Refused, refused}
		}
		if _, err := r.Skip(); err != nil {
			return err
		}
	}
	return nil
}
