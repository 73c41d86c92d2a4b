package rpc

import "time"

const (
	// sentinelAddr is what go-redis says that the address of a client of Sentinel is.
	sentinelAddr = "FailoverClient"

	// followEvery is how often it is looked where the master is. A master that was cut
	// off and comes back takes itself for the master for about 8 s, until a sentinel
	// tells it otherwise, and meanwhile answers as ever on the connections to it.
	followEvery = time.Second
)

// follow cuts connections to what Sentinel no longer calls the master, until the
// link is closed. Those who lose one make another one, to the new master.
func (l *link) follow() {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.life.Done():
			return
		}
		raw, err := l.dial("")
		if err != nil {
			continue // the others have trouble enough
		}
		l.cutOthers(raw.RemoteAddr().String())
		raw.Close() // nothing was sent
	}
}

// cutOthers cuts connections that don't go to addr.
func (l *link) cutOthers(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.RemoteAddr().String() != addr {
			c.Conn.Close() // what it says is of no interest
		}
	}
}
