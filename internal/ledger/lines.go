package ledger

import "sync"

// lines are the turns that wait for their queues' windows. In a process one
// line serves a queue: what comes while its script is under way goes, all of
// it, into the next one, as a database commits a group. Many deliveries that
// end at once so cost the window one script.
type lines struct {
	mu     sync.Mutex
	turns  map[string][]turn // by queue
	served map[string]bool   // queues that somebody serves
	idle   chan struct{}     // closed when nothing is served; nil before the first
}

// join puts a turn into its queue's line. Where nobody serves that, the caller
// is to.
func (l *lines) join(t turn) (serve bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turns == nil {
		l.turns, l.served = map[string][]turn{}, map[string]bool{}
	}
	l.turns[t.queue] = append(l.turns[t.queue], t)
	if l.served[t.queue] {
		return false
	}
	if len(l.served) == 0 {
		l.idle = make(chan struct{})
	}
	l.served[t.queue] = true
	return true
}

// next takes the whole line. Where it is empty the caller serves it no longer.
func (l *lines) next(queue string) []turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	turns := l.turns[queue]
	delete(l.turns, queue)
	if len(turns) == 0 {
		delete(l.served, queue)
		if len(l.served) == 0 {
			close(l.idle)
		}
	}
	return turns
}

// wait returns at a moment when no queue is served.
func (l *lines) wait() {
	l.mu.Lock()
	n, idle := len(l.served), l.idle
	l.mu.Unlock()
	if n > 0 {
		<-idle
	}
}
