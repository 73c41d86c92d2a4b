package main

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"redrpc/internal/terminal"
)

// newLog logs to w what is of a level, or worse.
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(terminal.Writer(w), &slog.HandlerOptions{Level: level}))
}

// newBriefLog logs to w the first record of each message, so that a Redis that is
// gone does not fill the screen a thousand times a second.
func newBriefLog(w io.Writer) *slog.Logger {
	return slog.New(firstOfEach{slog.NewTextHandler(terminal.Writer(w), nil), new(sync.Map)})
}

type firstOfEach struct {
	slog.Handler
	seen *sync.Map // of messages
}

func (h firstOfEach) Handle(ctx context.Context, r slog.Record) error {
	if _, again := h.seen.LoadOrStore(r.Message, true); again {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h firstOfEach) WithAttrs(attrs []slog.Attr) slog.Handler {
	return firstOfEach{h.Handler.WithAttrs(attrs), h.seen}
}

func (h firstOfEach) WithGroup(name string) slog.Handler {
	return firstOfEach{h.Handler.WithGroup(name), h.seen}
}
