package snowflake

import (
	"strings"
	"sync"
	"time"
)

// Statement is a statement that the server received.
type Statement struct {
	Account string // ORG.NAME
	User    string
	Role    string
	Session int64
	QueryID string
	Text    string
	Tag     string   // its query tag
	Inner   []string // the statements that a scripting block ran
	Number  int      // of the error that it was answered with, or 0
}

// Kind is the statement's first word, such as SELECT or CREATE; a scripting
// block's is BEGIN or DECLARE.
func (st Statement) Kind() string {
	words := strings.Fields(st.Text)
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(strings.Trim(words[0], ";("))
}

// Statements are those received since [Server.Forget], in order.
func (srv *Server) Statements() []Statement {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	all := make([]Statement, len(srv.log))
	copy(all, srv.log)
	return all
}

// Forget empties the list of statements.
func (srv *Server) Forget() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.log = nil
}

// Effect is what a fault does.
type Effect int

// The effects of a fault.
const (
	// None: only hold, or delay, the statement.
	None Effect = iota
	// Drop closes the connection without an answer. The driver repeats the
	// request, which gets the answer that was lost.
	Drop
	// Lose drops the request and every repetition of it: the client never learns
	// what became of its statement.
	Lose
	// Cut drops every further request of the session, as if its client had died:
	// the session stays, and its transaction keeps its locks.
	Cut
	// Expire makes the session's token expire (390112): the driver renews it.
	Expire
	// End ends the session (390111): what is not committed is rolled back.
	End
	// Fail answers with an error.
	Fail
)

// Fault happens to a statement.
type Fault struct {
	Match string // the statements whose text contains this, in any case
	Inner bool   // the statements of scripting blocks, instead of whole requests
	After bool   // once the statement was executed, instead of before
	Skip  int    // so many of the matching statements pass first
	Times int    // how many it happens to; default 1
	Do    Effect
	Delay time.Duration
	Hold  bool // until Release

	Number         int // of Fail
	State, Message string
}

// Injected is a fault that waits for its statement.
type Injected struct {
	Fault

	reached  chan struct{}
	released chan struct{}
	once     sync.Once
	release  sync.Once
}

// Reached is closed when the fault happens for the first time.
func (f *Injected) Reached() <-chan struct{} { return f.reached }

// Release lets the held statements go on.
func (f *Injected) Release() { f.release.Do(func() { close(f.released) }) }

// Inject prepares a fault.
func (srv *Server) Inject(f Fault) *Injected {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	f.Times = max(f.Times, 1)
	waiting := &Injected{Fault: f, reached: make(chan struct{}), released: make(chan struct{})}
	srv.faults = append(srv.faults, waiting)
	return waiting
}

// ClearFaults forgets the faults that did not happen yet.
func (srv *Server) ClearFaults() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, f := range srv.faults {
		f.Release()
	}
	srv.faults = nil
}

// fault takes the fault that happens to a statement now, or nil.
func (srv *Server) fault(text string, inner bool) *Injected {
	for _, f := range srv.faults {
		if f.Inner != inner || f.Times == 0 || !strings.Contains(strings.ToUpper(text), strings.ToUpper(f.Match)) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		return f
	}
	return nil
}

// happen makes a fault's effects, with the server unlocked while it waits; it
// returns what the statement is answered with instead.
func (f *Injected) happen(q *query) error {
	srv := q.session.srv
	f.once.Do(func() { close(f.reached) })
	srv.mu.Unlock()
	time.Sleep(f.Delay) //nolint:forbidigo // the delay is what was asked for
	if f.Hold {
		<-f.released
	}
	srv.mu.Lock()
	switch f.Do {
	case None:
	case Drop:
		q.drops = 1
	case Lose:
		q.drops = -1
	case Cut:
		q.session.cut = true
	case Expire:
		q.session.expired = true
		delete(q.session.queries, q.request) // repeated with the new token, it runs
		return errExpired
	case End:
		q.session.close()
		return errGone
	case Fail:
		return errorf(f.Number, f.State, "%s", f.Message)
	}
	return nil
}

// inner is told of each statement of a scripting block before it runs; what it
// returns is called after.
func (srv *Server) inner(s *session, text string) (after func() error, err error) {
	q := s.running
	srv.log[q.logged].Inner = append(srv.log[q.logged].Inner, text)
	f := srv.fault(text, true)
	if f == nil {
		return func() error { return nil }, nil
	}
	if f.After {
		return func() error { return f.happen(q) }, nil
	}
	return func() error { return nil }, f.happen(q)
}
