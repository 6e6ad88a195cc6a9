package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// position is a place in the order newest first, ties by id.
type position struct {
	created int64
	id      string
}

// newest is before every delivery.
var newest = position{created: 1<<62 - 1}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(q.created, p.created), cmp.Compare(q.id, p.id))
}

func (p position) String() string { return fmt.Sprintf("%d.%s", p.created, p.id) }

func parseCursor(text string) (position, error) {
	created, id, ok := strings.Cut(text, ".")
	ms, err := strconv.ParseInt(created, 10, 64)
	if !ok || err != nil {
		return position{}, fmt.Errorf("cursor %q is not one that a page ended with", text)
	}
	return position{ms, id}, nil
}

// ValidCursor reports whether text can be the cursor of a page.
func ValidCursor(text string) bool {
	at, err := parseCursor(text)
	return err == nil && at.created >= 0 && len(at.id) <= 64
}

// merge reads several indexes as one, newest first, in pieces: what it asks of
// Redis grows with what is taken from it and the number of indexes, not with
// what they hold.
type merge struct {
	ledger  *Ledger
	from    position // yield what comes after it only
	since   time.Time
	indexes []*indexReader // those that are not at their end
}

// indexReader is one index and what was read of it ahead.
type indexReader struct {
	key   string
	read  int64 // positions, from the beginning
	piece int64 // that are read next: twice as many each time
	ahead []position
	ended bool // there are no more than were read
}

// heads returns the first n positions of the indexes after a position and not
// older than since; fewer if there are no more.
func (l *Ledger) heads(ctx context.Context, keys []string, from position, since time.Time, n int) ([]position, error) {
	m := &merge{ledger: l, from: from, since: since}
	for _, key := range keys {
		m.indexes = append(m.indexes, &indexReader{key: key, piece: int64(2*n/len(keys) + 8)})
	}
	var out []position
	last := from
	for len(out) < n && len(m.indexes) > 0 {
		if err := m.read(ctx); err != nil {
			return out, err
		}
		for first := m.first(); first != nil && len(out) < n; first = m.first() {
			at := first.ahead[0]
			first.ahead = first.ahead[1:]
			if last.compare(at) < 0 { // else it lies before the page, or moved from one index to another
				out = append(out, at)
				last = at
			}
		}
		m.indexes = slices.DeleteFunc(m.indexes, func(r *indexReader) bool { return r.ended && len(r.ahead) == 0 })
	}
	return out, nil
}

// first is the index whose next position is the newest of all; nil if some
// index must be read on before that is known, or nothing is left.
func (m *merge) first() (first *indexReader) {
	for _, r := range m.indexes {
		switch {
		case len(r.ahead) > 0 && (first == nil || r.ahead[0].compare(first.ahead[0]) < 0):
			first = r
		case len(r.ahead) == 0 && !r.ended:
			return nil
		}
	}
	return first
}

// read reads a piece of every index of which nothing is ahead.
func (m *merge) read(ctx context.Context) error {
	upper, lower := strconv.FormatInt(m.from.created, 10), strconv.FormatInt(max(m.since.UnixMilli(), 0), 10)
	cmds := map[*indexReader]*redis.ZSliceCmd{}
	_, err := m.ledger.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range m.indexes {
			if len(r.ahead) == 0 && !r.ended {
				cmds[r] = p.ZRevRangeByScoreWithScores(ctx, r.key, &redis.ZRangeBy{Max: upper, Min: lower, Offset: r.read, Count: r.piece})
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("ledger: %w", err)
	}
	for r, c := range cmds {
		r.read += int64(len(c.Val()))
		r.ended = int64(len(c.Val())) < r.piece
		r.piece *= 2
		for _, z := range c.Val() {
			r.ahead = append(r.ahead, position{int64(z.Score), fmt.Sprint(z.Member)})
		}
	}
	return nil
}
