package main

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// This file is request and reply of NATS, with the text as it is: nothing is encoded
// or decoded.

func startNATSClient(at endpoint, _ int) (*echoClient, error) {
	conn, err := nats.Connect("nats://" + at.addr)
	if err != nil {
		return nil, err
	}
	data := []byte(text)
	return &echoClient{
		call: func(ctx context.Context) error {
			got, err := conn.RequestWithContext(ctx, echo, data)
			if err == nil && string(got.Data) != text {
				err = errWrongEcho
			}
			return err
		},
		conns: func() int { return 1 },
		close: func() error { conn.Close(); return nil },
	}, nil
}

func startNATSServer(at endpoint) (stop func() error, err error) {
	conn, err := nats.Connect("nats://" + at.addr)
	if err != nil {
		return nil, err
	}
	messages := make(chan *nats.Msg, workers)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for m := range messages {
				if err := m.Respond(m.Data); err != nil {
					panic(err)
				}
			}
		})
	}
	subscription, err := conn.Subscribe(echo, func(m *nats.Msg) { messages <- m })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(subscription.SetPendingLimits(-1, -1), conn.Flush()); err != nil {
		return nil, err
	}
	return func() error {
		err := subscription.Unsubscribe()
		conn.Close()
		close(messages)
		running.Wait()
		return err
	}, nil
}
