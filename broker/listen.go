package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"redrpc/broker/internal/resp"
	"redrpc/broker/internal/transport"
)

// Listen serves clients on a network address until Close: "tcp" with a host and
// port, where no host is 127.0.0.1 and port 0 chooses a free one, or "unix" with a
// path, see ListenUnix. It returns the address that it listens on.
//
// In a testing/synctest bubble it returns an error: see the package's documentation.
//
// On an address that other machines reach, see Options.Password and
// Options.Unprotected.
func (b *Broker) Listen(network, address string) (net.Addr, error) {
	return b.listen(network, address, 0, nil)
}

// ListenTLS is Listen with clients that speak TLS. The config must have a
// certificate; where its ClientAuth asks for them, clients need certificates too. It
// must not be changed afterwards.
func (b *Broker) ListenTLS(network, address string, config *tls.Config) (net.Addr, error) {
	if config == nil || len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("broker: ListenTLS: expected a config with a certificate")
	}
	return b.listen(network, address, 0, config)
}

// ListenUnix serves clients on a Unix socket until Close, which removes it. The mode
// has the permissions of its file, for example 0o700; 0 leaves them to the umask.
// The mode is in force from the start.
//
// A stale socket at the path is removed. Anything else there is an error.
func (b *Broker) ListenUnix(path string, mode fs.FileMode) (net.Addr, error) {
	if mode&^fs.ModePerm != 0 {
		return nil, fmt.Errorf("broker: ListenUnix: mode %#o: expected permissions only, 0 to 0o777", uint32(mode))
	}
	return b.listen("unix", path, mode, nil)
}

func (b *Broker) listen(network, address string, mode fs.FileMode, config *tls.Config) (net.Addr, error) {
	if inBubble() {
		return nil, errSocketInBubble
	}
	var l net.Listener
	var err error
	if network == "unix" {
		l, err = transport.ListenUnix(address, mode)
	} else {
		l, err = net.Listen(network, onLoopback(network, address))
	}
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	addr := l.Addr()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	if err := b.Serve(l); err != nil {
		l.Close()
		return nil, err
	}
	return addr, nil
}

var errSocketInBubble = errors.New("broker: in a testing/synctest bubble time does not advance while a goroutine waits for a socket: expected Dial, or no bubble")

// onLoopback adds the loopback address to an address without a host.
func onLoopback(network, address string) string {
	host, port, err := net.SplitHostPort(address)
	switch {
	case address == "":
		port = "0"
	case err != nil || host != "":
		return address
	}
	if network == "tcp6" {
		return net.JoinHostPort("::1", port)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// Serve serves the clients that a listener accepts, until Close, which closes the
// listener. It does not wait. In a testing/synctest bubble the listener must not be one of
// sockets.
func (b *Broker) Serve(l net.Listener) error {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		if inBubble() {
			return errSocketInBubble
		}
	}
	name := "listener " + l.Addr().String()
	b.enter()
	defer b.leave()
	if b.closed || !b.goroutines.enter(name) {
		return ErrClosed
	}
	serve := b.driver(l)
	b.listeners[l] = struct{}{}
	b.options.served.add(l.Addr())
	go func() {
		defer b.goroutines.leave(name)
		b.accept(l, serve)
		b.enter()
		delete(b.listeners, l)
		b.leave()
	}()
	return nil
}

// add adds an address that the broker listens on.
func (s *served) add(addr net.Addr) {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if s.port == 0 || a.Port < s.port {
			s.port = a.Port
		}
		if host := a.IP.String(); !slices.Contains(strings.Fields(s.bind), host) {
			s.bind = strings.TrimSpace(s.bind + " " + host)
		}
	case *net.UnixAddr:
		if s.unix == "" {
			s.unix = a.Name
		}
	}
}

// driver returns what serves the connections that a listener accepts.
func (b *Broker) driver(l net.Listener) func(net.Conn) {
	inGoroutine := func(c net.Conn) { transport.Serve(host{b}, c) }
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
	default:
		return inGoroutine // TLS, for example
	}
	if b.poller == nil {
		p, err := transport.NewPoller(host{b})
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				b.log(slog.LevelWarn, "sockets are served by a goroutine each", "error", err)
			}
			return inGoroutine
		}
		b.poller = p
	}
	return b.poller.Serve
}

func (b *Broker) accept(l net.Listener, serve func(net.Conn)) {
	defer b.recoverIn("listener", l)
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, or a client that gave up while it waited: try
			// again, without spinning.
			b.logger.Warn("accept failed", "listener", l.Addr().String(), slog.Any("error", err))
			time.Sleep(10 * time.Millisecond)
			continue
		}
		b.startServing(conn, serve)
	}
}

// startServing starts serving a connection.
func (b *Broker) startServing(conn net.Conn, serve func(net.Conn)) {
	defer b.recoverIn("a new connection", conn)
	serve(conn)
}

// protectedMode is the reply to a client on another machine in protected mode. The text is
// Redis's; the configuration file and options that it names do not exist here.
var protectedMode = resp.ErrorReply("DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. " +
	"In this mode connections are only accepted from the loopback interface. " +
	"If you want to connect from external computers to Redis you may adopt one of the following solutions: " +
	"1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis " +
	"from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. " +
	"Use CONFIG REWRITE to make this change permanent. " +
	"2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', " +
	"and then restarting the server. " +
	"3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. " +
	"4) Setup a an authentication password for the default user. " +
	"NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.")
