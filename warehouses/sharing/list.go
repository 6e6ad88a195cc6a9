package sharing

import (
	"encoding/base64"
	"net/http"
	"sort"
	"strconv"
)

// pageSize is how many items a page has where the client does not say.
const pageSize = 500

// page is an answer to a list request.
type page[T any] struct {
	Items         []T    `json:"items"`
	NextPageToken string `json:"nextPageToken,omitempty"`
}

type shareItem struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

type schemaItem struct {
	Name  string `json:"name"`
	Share string `json:"share"`
}

type tableItem struct {
	Name    string `json:"name"`
	Schema  string `json:"schema"`
	Share   string `json:"share"`
	ShareID string `json:"shareId"`
	ID      string `json:"id"`
}

func (r *request) listShares() error {
	return list(r, []string{r.connector}, func(name string) shareItem { return shareItem{name, name} })
}

func (r *request) getShare() error {
	if err := r.inShare(); err != nil {
		return err
	}
	return r.json(http.StatusOK, map[string]shareItem{"share": {r.connector, r.connector}})
}

func (r *request) listSchemas() error {
	if err := r.inShare(); err != nil {
		return err
	}
	return list(r, []string{r.s.o.Brand}, func(name string) schemaItem { return schemaItem{name, r.connector} })
}

func (r *request) listTables() error {
	if err := r.inShare(); err != nil {
		return err
	}
	names, err := r.existing()
	if err != nil {
		return err
	}
	return list(r, names, func(name string) tableItem {
		return tableItem{name, r.s.o.Brand, r.connector, r.connector, r.connector + "." + name}
	})
}

// list answers with a page of named things. A page token is the last name of
// the page before, so that what comes or goes meanwhile moves nothing else.
func list[T any](r *request, names []string, item func(name string) T) error {
	most := pageSize
	if text := r.URL.Query().Get("maxResults"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return invalid("maxResults is not a number of at least 0")
		}
		most = int(n)
	}
	token := r.URL.Query().Get("pageToken")
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || (token != "" && len(after) == 0) {
		return invalid("pageToken is not one that this server gave")
	}
	// A page of none is answered with a token that begins at the same place.
	first := sort.SearchStrings(names, string(after)+"\x00")
	if token == "" || string(after) == beginning {
		first = 0
	}
	rest := names[first:]
	p := page[T]{Items: []T{}}
	for _, name := range rest[:min(most, len(rest))] {
		p.Items = append(p.Items, item(name))
	}
	if len(p.Items) < len(rest) {
		last := string(after)
		if n := len(p.Items); n > 0 {
			last = rest[n-1]
		} else if token == "" {
			last = beginning
		}
		p.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(last))
	}
	return r.json(http.StatusOK, p)
}

// beginning stands before every name.
const beginning = " "
