package sharing

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/waybillhq/waybill/warehouses/delta"
)

// moment is the version that a request asks for; at most one of the two is set.
type moment struct {
	version   *int64
	timestamp string
}

// at is the table at that moment; the zero moment is now.
func (t *table) at(ctx context.Context, m moment, kept time.Time) (*view, error) {
	newest, err := t.newest(ctx)
	if err != nil || (m.version == nil && m.timestamp == "") {
		return newest, err
	}
	switch {
	case m.version != nil && m.timestamp != "":
		return nil, invalid("version and timestamp exclude each other; give one of them")
	case m.timestamp != "":
		v, err := t.versionAt(ctx, "timestamp", m.timestamp, t.VersionAt)
		if err != nil {
			return nil, err
		}
		m.version = &v
	case *m.version < 0:
		return nil, invalid("version is less than 0")
	}
	if *m.version == newest.Version {
		return newest, nil
	}
	if *m.version > newest.Version {
		return nil, invalid("version %d is not there yet; the newest is %d", *m.version, newest.Version)
	}
	old, err := t.SnapshotAt(ctx, *m.version)
	if err != nil {
		return nil, err
	}
	v := newView(old)
	return v, t.readable(ctx, v, newest, kept)
}

// readable refuses a version whose files may be gone: those that a table no
// longer has are swept when they have been out of it for some days.
func (t *table) readable(ctx context.Context, v, newest *view, kept time.Time) error {
	live := map[string]bool{}
	for _, f := range newest.files {
		live[f.Path] = true
	}
	all := true
	for _, f := range v.files {
		all = all && live[f.Path]
	}
	if all {
		return nil
	}
	versions, err := t.Versions(ctx)
	if err != nil {
		return err
	}
	for _, next := range versions {
		if next.Version > v.Version {
			if next.At.Before(kept) {
				return invalid("version %d is too old: its files are no longer kept", v.Version)
			}
			break
		}
	}
	return nil
}

// versionAt finds the version of a time that the request gives.
func (t *table) versionAt(ctx context.Context, name, text string, find func(context.Context, time.Time) (int64, error)) (int64, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, invalid("%s is not a time such as 2025-01-15T10:30:00Z", name)
	}
	return find(ctx, at)
}

// from is the first version that was committed at a time or after it.
func (t *table) from(ctx context.Context, at time.Time) (int64, error) {
	versions, err := t.Versions(ctx)
	if err != nil {
		return 0, err
	}
	for _, v := range versions {
		if !v.At.Before(at) {
			return v.Version, nil
		}
	}
	last := versions[len(versions)-1]
	return 0, invalid("startingTimestamp is after the newest version, %d, of %s", last.Version, last.At.Format(time.RFC3339Nano))
}

// fileRetention is how long the files of old versions are kept at least:
// the default of [delta.Options], by which handlers sweep.
const fileRetention = 7 * 24 * time.Hour

// kept is since when files that a table no longer has are certainly there: also
// for as long as the URLs that are given out live.
func (r *request) kept() time.Time { return r.s.o.Now().Add(r.s.o.Lifetime - fileRetention) }

const versionHeader = "Delta-Table-Version"

// version answers with the table's version alone.
func (r *request) version() error {
	t, err := r.asked()
	if err != nil {
		return err
	}
	var version int64
	if start := r.URL.Query().Get("startingTimestamp"); start != "" && r.Method == http.MethodGet {
		version, err = t.versionAt(r.Context(), "startingTimestamp", start, t.from)
	} else {
		var s *delta.Snapshot
		if s, err = t.Snapshot(r.Context()); err == nil {
			version = s.Version
		}
	}
	if err != nil {
		return err
	}
	r.w.Header().Set(versionHeader, strconv.FormatInt(version, 10))
	r.w.WriteHeader(http.StatusOK)
	return nil
}

// metadata answers with the table's protocol and metadata.
func (r *request) metadata() error {
	format, err := r.capabilities()
	if err != nil {
		return err
	}
	t, err := r.asked()
	if err != nil {
		return err
	}
	q, m := r.URL.Query(), moment{}
	m.timestamp = q.Get("timestamp")
	if text := q.Get("version"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return invalid("version is not a number")
		}
		m.version = &n
	}
	v, err := t.at(r.Context(), m, r.kept())
	if err != nil {
		return err
	}
	out := r.stream(format, v)
	out.head(v)
	return out.end("")
}

// changes are not kept: a table's versions are, and WORKFLOW_RUNS tells what came when.
func (r *request) changes() error {
	if _, err := r.asked(); err != nil {
		return err
	}
	return unsupported("the table has no change data feed; read WORKFLOW_RUNS for what is new, or two versions of the table")
}

func (r *request) queryStatus() error {
	return unsupported("queries are answered at once; there are none to ask for")
}

func (r *request) credentials() error {
	if _, err := r.asked(); err != nil {
		return err
	}
	return unsupported("credentials of the table's storage are not given out; use the URLs that a query returns")
}
