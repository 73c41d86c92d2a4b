package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"redrpc/rpc"
)

// builtin are the functions that redrpc itself can serve, each with what it is
// called with if nobody says otherwise.
var builtin = map[string]json.RawMessage{
	"add":  json.RawMessage(`{"a":1,"b":2}`),
	"echo": json.RawMessage(`{"x":null}`),
	"fail": json.RawMessage(`{}`),
	// 10 ms
	"sleep": json.RawMessage(`{"seconds":0.01}`),
}

const functionsHelp = `  echo x=VALUE            the value itself
  sleep seconds:=NUMBER   waits, then the number
  add a:=NUMBER b:=NUMBER their sum, exact for integers of any size
  fail [message=TEXT]     always an error`

// offer makes the builtin functions known to server.
func offer(server *rpc.Server) error {
	return errors.Join(
		rpc.Handle(server, "add", add),
		rpc.Handle(server, "echo", echo),
		rpc.Handle(server, "fail", fail),
		rpc.Handle(server, "sleep", sleep),
	)
}

func echo(_ context.Context, in struct {
	X json.RawMessage `json:"x"`
}) (json.RawMessage, error) {
	return in.X, nil
}

func sleep(ctx context.Context, in struct {
	Seconds float64 `json:"seconds"`
}) (float64, error) {
	if in.Seconds < 0 || in.Seconds > 3600 {
		return 0, fmt.Errorf("seconds: expected a number from 0 to 3600, got %v", in.Seconds)
	}
	timer := time.NewTimer(time.Duration(in.Seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return in.Seconds, nil
	case <-ctx.Done():
		return 0, interrupted(ctx)
	}
}

// interrupted is the failure of a function whose context ended.
func interrupted(ctx context.Context) error { return fmt.Errorf("interrupted: %w", ctx.Err()) }

func add(_ context.Context, in struct {
	A json.Number `json:"a"`
	B json.Number `json:"b"`
}) (json.Number, error) {
	a, aWhole := new(big.Int).SetString(in.A.String(), 10)
	b, bWhole := new(big.Int).SetString(in.B.String(), 10)
	if aWhole && bWhole {
		return json.Number(a.Add(a, b).String()), nil
	}
	x, xErr := in.A.Float64()
	y, yErr := in.B.Float64()
	if err := errors.Join(xErr, yErr); err != nil {
		return "", fmt.Errorf("a and b: expected two numbers: %w", err)
	}
	if math.IsInf(x+y, 0) {
		return "", fmt.Errorf("the sum of %v and %v is too large", x, y)
	}
	return json.Number(strconv.FormatFloat(x+y, 'g', -1, 64)), nil
}

func fail(_ context.Context, in struct {
	Message string `json:"message,omitempty"`
}) (any, error) {
	return nil, errors.New(cmp.Or(in.Message, "failed, as asked"))
}
