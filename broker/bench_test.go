package broker

import (
	"bytes"
	"slices"
	"testing"

	"redrpc/broker/internal/script"
)

// What a command costs inside the broker: from bytes in to bytes out, without a
// connection.
func BenchmarkCommand(b *testing.B) {
	value := string(bytes.Repeat([]byte("x"), 100))
	for _, c := range []struct {
		name     string
		before   [][]byte
		commands [][]byte // in turn
	}{
		{"PING", nil, [][]byte{request("PING")}},
		{"GET", [][]byte{request("SET", "k", value)}, [][]byte{request("GET", "k")}},
		{"SET", [][]byte{request("SET", "k", value)}, [][]byte{request("SET", "k", value)}},
		{"RPUSH-LPOP", [][]byte{request("RPUSH", "q", value)}, [][]byte{request("RPUSH", "q", value), request("LPOP", "q")}},
		{"XADD", nil, [][]byte{request("XADD", "s", "MAXLEN", "~", "1000", "*", "field", value)}},
		{"XADD-XREADGROUP", [][]byte{request("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")}, [][]byte{request("XADD", "s", "*", "field", value), request("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">")}},
		{"RPUSH-EXPIRE-LPOP", nil, [][]byte{request("RPUSH", "q", value), request("EXPIRE", "q", "120"), request("LPOP", "q")}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkCommands(b, Options{}, c.before, c.commands) })
	}
}

// What it costs with 16 in a pipeline, alone and with the log of commands.
func BenchmarkPipeline(b *testing.B) {
	value := string(bytes.Repeat([]byte("x"), 100))
	for _, command := range [][]string{{"PING"}, {"GET", "k"}, {"SET", "k", value}} {
		before, batch := [][]byte{request("SET", "k", value)}, [][]byte{bytes.Repeat(request(command...), 16)}
		b.Run(command[0], func(b *testing.B) { benchmarkCommands(b, Options{}, before, batch) })
		b.Run(command[0]+"-logged", func(b *testing.B) { benchmarkCommands(b, Options{LogSize: 1000}, before, batch) })
	}
}

func benchmarkCommands(b *testing.B, o Options, before, commands [][]byte) {
	broker := newBroker(b, o)
	l := &fakeTransport{mute: true}
	broker.enter()
	if err := broker.open(l); err != nil {
		b.Fatal(err)
	}
	broker.leave()
	for _, p := range before {
		broker.receive(l.session, p)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		broker.receive(l.session, commands[i])
		if i++; i == len(commands) {
			i = 0
		}
	}
}

// What a command costs on a connection in memory, from Write to Read.
func BenchmarkMemoryConn(b *testing.B) {
	value := string(bytes.Repeat([]byte("x"), 100))
	for _, c := range []struct {
		name    string
		command []byte
	}{
		{"PING", request("PING")},
		{"GET", request("GET", "k")},
		{"SET", request("SET", "k", value)},
		{"GET-pipeline", bytes.Repeat(request("GET", "k"), 16)},
		{"RPUSH-LPOP", slices.Concat(request("RPUSH", "q", value), request("LPOP", "q"))},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn := inMemory(b, newBroker(b, Options{})).Conn
			buf := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				conn.Write(c.command)
				conn.Read(buf)
			}
		})
	}
}

// What a script of two commands costs.
func BenchmarkScript(b *testing.B) {
	const body = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
	commands := [][]byte{request("EVAL", body, "1", "k", "value")}
	b.Run("EVAL", func(b *testing.B) { benchmarkCommands(b, Options{}, nil, commands) })
	load := [][]byte{request("SCRIPT", "LOAD", body)}
	commands = [][]byte{request("EVALSHA", script.Hash([]byte(body)), "1", "k", "value")}
	b.Run("EVALSHA", func(b *testing.B) { benchmarkCommands(b, Options{}, load, commands) })
	load = [][]byte{request("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) "+body+" end)")}
	commands = [][]byte{request("FCALL", "f", "1", "k", "value")}
	b.Run("FCALL", func(b *testing.B) { benchmarkCommands(b, Options{}, load, commands) })
}
