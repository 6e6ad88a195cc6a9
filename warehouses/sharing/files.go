package sharing

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill/storage"
)

// fileRoute is where the server itself serves the files of a folder: to whom.
// Until when, and the signature of all of it, follow as a query with the names
// of a shared access signature of Azure's: readers built on the Delta kernel
// know by sp that a URL is to be read as it is. A process signs with a secret
// of its own: after a restart, clients query again.
const fileRoute = "/files/{connector}/{token}/{key...}"

// errBadURL is one answer for all that is wrong with a URL.
var errBadURL = &problem{"PERMISSION_DENIED", "The URL is wrong, or has expired; query the table again.", http.StatusForbidden}

// ownURL is the URL of an object that we serve.
func (r *request) ownURL(key string, until time.Time) string {
	end := strconv.FormatInt(until.Unix(), 10)
	return fmt.Sprintf("%s/files/%s/%s/%s?se=%s&sig=%s&sp=r", r.s.o.URL, url.PathEscape(r.connector), r.token.id(),
		(&url.URL{Path: key}).EscapedPath(), end, r.s.signature(r.connector, r.token.id(), end, key))
}

func (s *Server) signature(parts ...string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(strings.Join(parts, "\n"))) // keys have no line breaks
	return hex.EncodeToString(mac.Sum(nil))
}

// file serves an object to whoever has its URL, as long as the token is valid
// for which it was made.
func (r *request) file() error {
	connector, id, key, q := r.PathValue("connector"), r.PathValue("token"), r.PathValue("key"), r.URL.Query()
	end := q.Get("se")
	if !hmac.Equal([]byte(q.Get("sig")), []byte(r.s.signature(connector, id, end, key))) {
		return errBadURL
	}
	seconds, err := strconv.ParseInt(end, 10, 64)
	if err != nil || r.s.o.Now().Unix() >= seconds {
		return errBadURL
	}
	tokens, err := r.s.o.Tokens.Tokens(r.Context(), connector)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.id() == id && r.s.o.Now().Before(t.ExpiresAt) {
			if err := r.enter(connector, t); err != nil {
				return err
			}
			return r.object(key)
		}
	}
	return errBadURL
}

// object serves an object, or ranges of it.
func (r *request) object(key string) error {
	about, err := r.share.Store.Stat(r.Context(), key)
	if gone(err) {
		return notFound("the file is no longer kept; query the table again")
	}
	if err != nil {
		return err
	}
	body := &seeker{ctx: r.Context(), store: r.share.Store, about: about}
	defer body.close()
	h := r.w.Header()
	h.Set("ETag", strconv.Quote(strings.Trim(about.ETag, `"`)))
	h.Set("Content-Type", "application/vnd.apache.parquet")
	h.Set("Cache-Control", "private, no-store")
	http.ServeContent(r.w, r.Request, path.Base(key), about.Modified, body)
	return body.failed
}

// seeker reads an object from wherever it is told.
type seeker struct {
	ctx    context.Context
	store  storage.Store
	about  storage.Object
	at     int64
	body   io.ReadCloser
	failed error
}

func (s *seeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.about.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the object's beginning")
	}
	if offset != s.at {
		s.close()
		s.at = offset
	}
	return offset, nil
}

func (s *seeker) Read(b []byte) (int, error) {
	if s.body == nil {
		body, _, err := s.store.Get(s.ctx, s.about.Key, storage.GetOptions{Offset: s.at, IfMatch: s.about.ETag})
		if err != nil {
			s.failed = err
			return 0, err
		}
		s.body = body
	}
	n, err := s.body.Read(b)
	s.at += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

func (s *seeker) close() {
	if s.body != nil {
		_ = s.body.Close() // nothing was written
		s.body = nil
	}
}
