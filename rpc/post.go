package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A post sends what a server has to say over one connection: answers, many in a
// transaction, and what keeps its keys.
//
// An answer is sent again if the connection is lost before Redis has confirmed it:
// then a result that has been sent may come twice, but it will come. If the caller
// has popped the first, the second expires.
type post struct {
	link  *link
	line  *line
	life  time.Duration // of a result
	log   *slog.Logger
	spare *buffers  // for answers
	other *strays   // takes answers whose slot is on its way, if it is a Cluster
	free  func(int) // is called with a number of answers that were dealt with

	mails     sync.Pool       // used ones
	impatient context.Context // ended if there is no time to wait for Redis

	mu       sync.Mutex    // guards what follows
	letters  fifo[*letter] // to be sent
	sent     int           // not confirmed
	chores   []chore
	working  int           // chores that are not confirmed
	draining bool          // there is to be an end of it
	drained  chan struct{} // closed when draining and there is nothing left
}

// A letter is an answer on its way.
type letter struct {
	key     string // the list of the result
	message []byte
	since   time.Time // when it was ready
	again   bool      // it may be there already
}

// A chore is a command or more whose failure is only logged, as failed.
type chore struct {
	commands []byte
	replies  int
	failed   string
}

const (
	mostLetters = 512 // in a batch

	// answerPatience is how long a server tries to deliver an answer while Redis is
	// away. Once it is to stop and has lost patience, it does not.
	answerPatience = 30 * time.Second
)

func newPost(impatient context.Context, l *link, life time.Duration, log *slog.Logger, spare *buffers, free func(int)) *post {
	p := &post{link: l, life: life, log: log, spare: spare, free: free, impatient: impatient, drained: make(chan struct{})}
	p.line = newLine(l, p)
	return p
}

// answer sends message to the list key.
func (p *post) answer(key string, message []byte) {
	l := &letter{key: key, message: message, since: time.Now()}
	p.mu.Lock()
	p.letters.push(l)
	p.mu.Unlock()
	p.line.signal()
}

// do has commands done.
func (p *post) do(failed string, commands ...[]string) {
	c := chore{replies: len(commands), failed: failed}
	for _, args := range commands {
		c.commands = appendCommand(c.commands, args...)
	}
	p.mu.Lock()
	p.chores = append(p.chores, c)
	p.working++
	p.mu.Unlock()
	p.line.signal()
}

// close waits until all is sent and confirmed, or cannot be.
func (p *post) close() {
	p.mu.Lock()
	p.draining = true
	p.checkDrained()
	p.mu.Unlock()
	poke(p.line.hurry)
	p.line.signal()
	<-p.drained
	p.link.close()
	p.line.close()
}

// checkDrained is called under the lock.
func (p *post) checkDrained() {
	if p.draining && len(p.letters.waiting())+p.sent+p.working == 0 {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
}

func (p *post) connect() (*conn, error) { return p.link.connect(2, sharedSize) }

func (p *post) up()    {}
func (p *post) tick()  {}
func (p *post) quiet() {}

func (p *post) push(r *reader, elements int) error { return r.skip(elements) }

func (p *post) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.letters.waiting()) > 0 || len(p.chores) > 0
}

func (p *post) lost(error) {}

// down gives up what is too old to be sent.
func (p *post) down(err error) {
	p.mu.Lock()
	chores := p.chores
	p.chores = nil
	p.working -= len(chores)
	var old []*letter
	p.letters.keep(func(l *letter) bool {
		if p.isOld(l) {
			old = append(old, l)
			return false
		}
		return true
	})
	p.checkDrained()
	p.mu.Unlock()
	for _, c := range chores {
		p.log.Warn("rpc: "+c.failed, "error", err)
	}
	for _, l := range old {
		p.lostFor(l, err)
	}
	p.free(len(old))
}

// isOld says whether a letter that could not be delivered is given up. It is called
// under the lock.
func (p *post) isOld(l *letter) bool {
	return time.Since(l.since) >= answerPatience || p.draining && p.impatient.Err() != nil
}

func (p *post) lostFor(l *letter, why error) {
	p.log.Error("rpc: result lost", "key", l.key, "error", why)
}

func (p *post) gather(out []byte) ([]byte, batch) {
	b, _ := p.mails.Get().(*mail)
	if b == nil {
		b = &mail{post: p}
	}
	p.mu.Lock()
	n, size := 0, 0
	for _, l := range p.letters.waiting() {
		if n >= mostLetters || size >= mostBytes {
			break
		}
		size += len(l.message)
		n++
	}
	b.letters = p.letters.take(b.letters, n)
	p.sent += n
	b.chores, p.chores = p.chores, nil
	p.mu.Unlock()
	if n == 0 && len(b.chores) == 0 {
		p.mails.Put(b)
		return out, nil
	}
	return b.append(out), b
}

// mail is one batch of a post: chores, what may be there already is deleted, and
// then, in one transaction, all answers.
type mail struct {
	post    *post
	chores  []chore
	letters []*letter
	repeats int
	parcels []parcel
	texts   [][]byte // of the parcels
	fates   []fate
	again   []*letter
}

func (b *mail) append(out []byte) []byte {
	for _, c := range b.chores {
		out = append(out, c.commands...)
	}
	for _, l := range b.letters {
		b.texts = append(b.texts, l.message)
	}
	for i, l := range b.letters {
		b.parcels = append(b.parcels, parcel{l.key, b.texts[i : i+1], b.post.life})
		if l.again {
			b.repeats++
			out = appendCommand(out, "DEL", l.key)
		}
	}
	if len(b.letters) > 0 {
		out = appendPushes(out, b.parcels)
	}
	return out
}

func (b *mail) read(r *reader) error {
	var passing error // of a chore
	for len(b.chores) > 0 {
		var no error
		for range b.chores[0].replies {
			err := r.discard()
			if err != nil && !isReply(err) {
				return err
			}
			no = cmp.Or(no, err)
		}
		if isPassing(no) {
			passing = no
		}
		if no != nil {
			b.post.log.Warn("rpc: "+b.chores[0].failed, "error", no)
		}
		b.chores = b.chores[1:]
		b.post.settled(0, 1, 0, nil)
	}
	for ; b.repeats > 0; b.repeats-- {
		if err := r.skip(1); err != nil {
			return err
		}
	}
	err := passing
	if len(b.letters) > 0 {
		b.fates = slices.Grow(b.fates[:0], len(b.letters))[:len(b.letters)]
		if err := readPushes(r, b.fates); err != nil {
			return err
		}
		err = cmp.Or(b.settle(), passing)
	}
	b.parcels, b.texts, b.again = emptied(b.parcels), emptied(b.texts), emptied(b.again)
	b.post.mails.Put(b)
	return err
}

// settle deals with the fates of all letters.
func (b *mail) settle() error {
	var passing error
	away := 0
	for i, fate := range b.fates {
		l := b.letters[i]
		switch {
		case fate.kind == aborted:
			b.again = append(b.again, l)
		case fate.kind == refused && isAsk(fate.why) && b.post.other != nil:
			b.post.other.answer(l)
			away++
		case fate.kind == refused && isPassing(fate.why) && !b.post.tired(l):
			b.again, passing = append(b.again, l), fate.why
		case fate.kind == refused:
			b.post.lostFor(l, fate.why)
		default:
			b.post.spare.put(l.message)
		}
	}
	b.letters = emptied(b.letters)
	b.post.settled(len(b.fates), 0, away, b.again)
	return passing
}

func (p *post) tired(l *letter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isOld(l)
}

// settled is told of letters and chores that were dealt with, how many letters others
// deal with now, and which have to be sent again.
func (p *post) settled(letters, chores, away int, again []*letter) {
	p.mu.Lock()
	p.sent -= letters
	p.working -= chores
	p.letters.push(again...)
	p.checkDrained()
	p.mu.Unlock()
	if len(again) > 0 {
		p.line.signal()
	}
	p.free(letters - away - len(again))
}

func (b *mail) unread(how wrote, why error) {
	for _, c := range b.chores {
		b.post.log.Warn("rpc: "+c.failed, "error", why)
	}
	for _, l := range b.letters {
		l.again = l.again || how == wroteAll
	}
	b.post.settled(len(b.letters), len(b.chores), 0, b.letters)
}
