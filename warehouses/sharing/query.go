package sharing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill/warehouses/delta"
)

// query is the body of a query.
type query struct {
	PredicateHints     []string `json:"predicateHints"`
	JSONPredicateHints *string  `json:"jsonPredicateHints"`
	LimitHint          *int64   `json:"limitHint"`
	Version            *int64   `json:"version"`
	Timestamp          *string  `json:"timestamp"`
	StartingVersion    *int64   `json:"startingVersion"`
	EndingVersion      *int64   `json:"endingVersion"`

	// Hints of newer clients that change nothing here: all files come in one
	// page, at once, and their URLs are renewed by asking again.
	MaxFiles            *int64  `json:"maxFiles"`
	IncludeRefreshToken *bool   `json:"includeRefreshToken"`
	IdempotencyKey      *string `json:"idempotency_key"` //nolint:tagliatelle // the protocol's name
	// What only follows an answer that this server does not give.
	PageToken    *string `json:"pageToken"`
	RefreshToken *string `json:"refreshToken"`
}

// maxQuery bounds a query's body, hints included.
const maxQuery = 1 << 20

func (r *request) readQuery() (q query, err error) {
	text, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, maxQuery))
	if err != nil {
		return q, malformed("the body cannot be read, or is larger than 1 MiB")
	}
	err = json.Unmarshal(text, &q)
	if field, wrong := errors.AsType[*json.UnmarshalTypeError](err); wrong {
		return q, invalid("%s is not of the right type", field.Field)
	}
	if err != nil {
		return q, malformed("the body is not a JSON object; send {} to read the whole table")
	}
	switch {
	case q.LimitHint != nil && *q.LimitHint < 0:
		return q, invalid("limitHint is less than 0")
	case q.MaxFiles != nil && *q.MaxFiles <= 0:
		return q, invalid("maxFiles is not greater than 0")
	case q.PageToken != nil:
		return q, invalid("pageToken is not one that this server gave; it answers with all files in one page")
	case q.RefreshToken != nil:
		return q, invalid("refreshToken is not one that this server gave; query again for new URLs")
	case q.StartingVersion != nil, q.EndingVersion != nil:
		return q, unsupported("changes since a version are not served; read the table at a version, or WORKFLOW_RUNS for what is new")
	}
	return q, nil
}

// query answers with the files of a table.
func (r *request) query() error {
	format, err := r.capabilities()
	if err != nil {
		return err
	}
	t, err := r.asked()
	if err != nil {
		return err
	}
	q, err := r.readQuery()
	if err != nil {
		return err
	}
	m := moment{version: q.Version}
	if q.Timestamp != nil {
		if m.timestamp = *q.Timestamp; m.timestamp == "" {
			return invalid("timestamp is empty")
		}
	}
	v, err := t.at(r.Context(), m, r.kept())
	if err != nil {
		return err
	}
	return r.files(t, v, q.selects(v), format)
}

// selects are the files that a query may need.
func (q query) selects(v *view) []delta.Add {
	where := hints(q, v.Metadata.SchemaString)
	if where == nil && q.LimitHint == nil {
		return v.files
	}
	var files []delta.Add
	rows, stats := int64(0), v.stats()
	for i, f := range v.files {
		if q.LimitHint != nil && rows >= *q.LimitHint {
			break
		}
		if where != nil && !where.of(stats[i]).some {
			continue
		}
		files = append(files, f)
		// Which rows of a file the predicates leave is not known: the limit
		// counts whole files only where there are none.
		if where == nil && stats[i].NumRecords > 0 {
			rows += stats[i].NumRecords
		}
	}
	return files
}

// signedAtOnce is how many files are signed, and then sent, together.
const signedAtOnce = 256

// files sends files with their URLs. What fails before the first of them is
// sent is an answer of its own; what fails later is the stream's last line.
func (r *request) files(t *table, v *view, files []delta.Add, f format) error {
	out := r.stream(f, v)
	out.head(v)
	until := r.s.o.Now().Add(r.s.o.Lifetime)
	for len(files) > 0 {
		some := files[:min(signedAtOnce, len(files))]
		files = files[len(some):]
		urls, err := r.sign(t, some, until)
		if err != nil && r.w.status == 0 {
			for _, name := range []string{versionHeader, capabilitiesHeader, "Content-Type"} {
				r.w.Header().Del(name)
			}
			return err
		}
		if err != nil {
			return errors.Join(err, out.end("The answer is not whole; ask again."))
		}
		for i, a := range some {
			out.file(a, v.Version, urls[i], until.UnixMilli())
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	return out.end("")
}

// sign makes URLs that read files until a time.
func (r *request) sign(t *table, files []delta.Add, until time.Time) ([]string, error) {
	urls := make([]string, len(files))
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(16)
	for i, a := range files {
		group.Go(func() (err error) {
			urls[i], err = r.signOne(ctx, t, a, until)
			return err
		})
	}
	return urls, group.Wait()
}

func (r *request) signOne(ctx context.Context, t *table, a delta.Add, until time.Time) (string, error) {
	key, err := t.Key(a)
	if err != nil {
		return "", err
	}
	url, err := r.share.Store.Presign(ctx, key, r.s.o.Lifetime)
	if errors.Is(err, errors.ErrUnsupported) { // a folder: we are the ones who answer
		return r.ownURL(key, until), nil
	}
	return url, err
}
