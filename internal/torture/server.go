package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"redrpc/broker"
	"redrpc/rpc"
)

// Arguments of every function: which call it is, and what it is to do.
type arguments struct {
	N    string `json:"n"`
	Us   int    `json:"us"`   // how long it takes, in microseconds
	Size int    `json:"size"` // bytes of padding of the result
	Do   string `json:"do"`   // what the call wants
	X    string `json:"x"`    // padding
}

// answer is the result of a call.
type answer struct {
	N string `json:"n"`
	X string `json:"x"`
}

// runServer is the process of a server.
func runServer(c *child) error {
	random := rand.New(rand.NewPCG(c.Seed, 2))
	before := runtime.NumGoroutine()
	rdb := c.redis()
	s, err := rpc.NewServer(rdb, rpc.ServerOptions{
		Prefix: c.Prefix, ID: c.Name, Workers: 4 + random.IntN(28), Expiry: c.Expiry, NoExtensions: c.Role == roleOldServer,
	})
	if err != nil {
		return err
	}
	for _, fn := range c.Functions {
		if err := rpc.Handle(s, fn, c.handle); err != nil {
			return err
		}
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run(context.Background()) }()
	say("ready")
	for command := range c.commands {
		if command == "stop" {
			break
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(s.Stop(ctx), <-ran, rdb.Close()); err != nil {
		return err
	}
	c.settle(before)
	return nil
}

// handle is every function.
func (c *child) handle(_ context.Context, in arguments) (answer, error) {
	c.journal.add("run", time.Now(), in.N)
	defer func() { c.journal.add("ran", time.Now(), in.N) }()
	time.Sleep(time.Duration(in.Us) * time.Microsecond)
	switch in.Do {
	case wantFailure:
		return answer{}, rpc.WithType(failureType, errors.New("as it was told to"))
	case wantPanic:
		panic("as it was told to")
	}
	return answer{in.N, strings.Repeat("y", in.Size)}, nil
}

// runBroker is the process of a broker, for want of the command.
func runBroker(c *child) error {
	b, err := broker.New(broker.Options{})
	if err != nil {
		return err
	}
	if _, err := b.Listen("tcp", c.Addr); err != nil {
		return errors.Join(err, b.Close())
	}
	say("ready")
	for range c.commands {
	}
	return b.Close()
}
