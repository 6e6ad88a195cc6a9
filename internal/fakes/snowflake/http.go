package snowflake

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The answers about a session and a query, as the driver knows them.
var (
	errExpired = errorf(390112, "08001", "Your session has expired. Please login again.")
	errGone    = errorf(390111, "08001", "Session no longer exists.  New login required to access the service.")
)

const (
	inProgress      = "333333"
	inProgressAsync = "333334"
	notExecuting    = "000605"
)

func (srv *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /session/v1/login-request", srv.login)
	mux.HandleFunc("POST /session/token-request", srv.renew)
	mux.HandleFunc("POST /session", srv.logout)
	mux.HandleFunc("POST /session/heartbeat", srv.withSession(func(_ *session, w http.ResponseWriter, _ *http.Request) { reply(w, nil) }))
	mux.HandleFunc("POST /queries/v1/query-request", srv.withSession(srv.queryRequest))
	mux.HandleFunc("POST /queries/v1/abort-request", srv.withSession(srv.abort))
	mux.HandleFunc("GET /queries/{id}/result", srv.withSession(srv.queryResult))
	mux.HandleFunc("GET /monitoring/queries/{id}", srv.withSession(srv.monitor))
	mux.HandleFunc("POST /telemetry/send", func(w http.ResponseWriter, _ *http.Request) { reply(w, nil) })
	mux.HandleFunc("POST /telemetry/send/sessionless", func(w http.ResponseWriter, _ *http.Request) { reply(w, nil) })
	return mux
}

type envelope struct {
	Data    any    `json:"data"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Success bool   `json:"success"`
}

func write(w http.ResponseWriter, e envelope) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(e)
}

func reply(w http.ResponseWriter, data any) { write(w, envelope{Data: data, Success: true}) }

func refuse(w http.ResponseWriter, err error, queryID string) {
	e, ok := errors.AsType[*sqlError](err)
	if !ok {
		e = errorf(603, "XX000", "SQL execution internal error: %v", err)
	}
	code := fmt.Sprintf("%06d", e.Number)
	write(w, envelope{Code: code, Message: e.Message, Data: map[string]any{"sqlState": e.State, "queryId": queryID, "errorCode": code}})
}

func body(r *http.Request, into any) error {
	from := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		from = unzipped
	}
	return json.NewDecoder(from).Decode(into)
}

func bearer(r *http.Request) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), `Snowflake Token="`), `"`)
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}

// withSession finds the session of a request, with the server locked.
func (srv *Server) withSession(next func(s *session, w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		for _, s := range srv.sessions {
			switch {
			case s.token != bearer(r):
				continue
			case s.cut:
				hangUp(w)
			case s.closed:
				refuse(w, errGone, "")
			case s.expired:
				refuse(w, errExpired, "")
			default:
				next(s, w, r)
			}
			return
		}
		refuse(w, errGone, "")
	}
}

// query is a request to run a statement.
type query struct {
	session *session
	id      string
	request string // its id, which the driver keeps when it asks again
	text    string
	binds   []bind
	tag     string
	logged  int
	started time.Time
	done    chan struct{}
	result  *result
	err     error
	aborted bool
	drops   int // answers to drop; below 0: all
}

func (q *query) ended() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

func (srv *Server) queryRequest(s *session, w http.ResponseWriter, r *http.Request) {
	var request struct {
		SQLText    string         `json:"sqlText"`
		AsyncExec  bool           `json:"asyncExec"`
		Parameters map[string]any `json:"parameters"`
		Bindings   map[string]struct {
			Type  string `json:"type"`
			Value any    `json:"value"`
		} `json:"bindings"`
		DescribeOnly bool   `json:"describeOnly"`
		BindStage    string `json:"bindStage"`
	}
	if err := body(r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.URL.Query().Get("requestId")
	q := s.queries[id]
	if q == nil {
		srv.ids++
		q = &query{session: s, request: id, id: fmt.Sprintf("01c%05x-0000-0000-0000-%012x", s.id, srv.ids), text: request.SQLText, started: srv.now(), done: make(chan struct{})}
		s.queries[id] = q
		q.tag = s.parameters["QUERY_TAG"]
		if tag, ok := request.Parameters["QUERY_TAG"].(string); ok {
			q.tag = tag
		}
		for i := range len(request.Bindings) {
			b := request.Bindings[strconv.Itoa(i+1)]
			one := bind{kind: b.Type}
			if text, ok := b.Value.(string); ok {
				one.value = &text
			} else if b.Value != nil {
				q.err = notModelled("array binds")
			}
			q.binds = append(q.binds, one)
		}
		if request.DescribeOnly || request.BindStage != "" || request.Parameters["MULTI_STATEMENT_COUNT"] != nil {
			q.err = notModelled("describing, staged binds and several statements in one call")
		}
		q.begin()
	}
	if request.AsyncExec {
		write(w, envelope{Success: true, Code: inProgressAsync, Data: map[string]any{"queryId": q.id, "getResultUrl": "/queries/" + q.id + "/result"}})
		return
	}
	srv.answer(q, w, r)
}

// answer waits for a query's end, with the server unlocked, and writes it.
func (srv *Server) answer(q *query, w http.ResponseWriter, r *http.Request) {
	srv.mu.Unlock()
	timer := time.NewTimer(srv.opts.Patience)
	select {
	case <-q.done:
	case <-timer.C:
	case <-r.Context().Done(): // nobody waits for the answer; the statement goes on
	}
	timer.Stop()
	srv.mu.Lock()
	switch {
	case !q.ended():
		write(w, envelope{Success: true, Code: inProgress, Message: "Query execution in progress.", Data: map[string]any{"queryId": q.id, "getResultUrl": "/queries/" + q.id + "/result"}})
	case q.session.cut:
		hangUp(w)
	case q.drops != 0:
		q.drops--
		hangUp(w)
	case q.err != nil:
		refuse(w, q.err, q.id)
	default:
		reply(w, q.result.data(q.session, q.id))
	}
}

// begin runs the query beside the request.
func (q *query) begin() {
	srv := q.session.srv
	srv.log = append(srv.log, Statement{
		Account: q.session.account.Identifier(), User: q.session.user.name, Role: q.session.role, Session: q.session.id, QueryID: q.id, Text: q.text, Tag: q.tag,
	})
	q.logged = len(srv.log) - 1
	go func() {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		q.run()
		close(q.done)
	}()
}

func (q *query) run() {
	s, srv := q.session, q.session.srv
	for s.running != nil && !s.closed && !q.aborted {
		srv.changed.Wait() // statements of a session run one after another
	}
	if latency := srv.latency; latency > 0 {
		srv.mu.Unlock()
		time.Sleep(latency) //nolint:forbidigo // the latency is what was asked for
		srv.mu.Lock()
	}
	s.running = q
	defer func() {
		s.running = nil
		if s.tx != nil {
			s.tx.idle = srv.now()
		}
		srv.changed.Broadcast()
	}()
	f := srv.fault(q.text, false)
	if f != nil && !f.After && q.err == nil {
		q.err = f.happen(q)
		if f.Do == Drop || f.Do == Lose {
			q.err = errorf(604, "57014", "SQL execution canceled")
		}
	}
	if q.err == nil && !s.closed && !q.aborted && !s.cut {
		q.result, q.err = s.execute(q.text, q.binds)
	} else if q.err == nil {
		q.err = errorf(604, "57014", "SQL execution canceled")
	}
	if f != nil && f.After {
		if err := f.happen(q); err != nil {
			q.err = err
		}
	}
	q.keep()
}

// keep remembers a query's result for RESULT_SCAN, and its error for the list.
func (q *query) keep() {
	s := q.session
	s.lastQuery = q.id
	if q.err == nil {
		s.results[q.id] = q.result
	}
	if e, ok := errors.AsType[*sqlError](q.err); ok && q.logged < len(s.srv.log) {
		s.srv.log[q.logged].Number = e.Number
	}
}

func (srv *Server) find(s *session, r *http.Request) *query {
	for _, q := range s.queries {
		if q.id == r.PathValue("id") {
			return q
		}
	}
	return nil
}

func (srv *Server) queryResult(s *session, w http.ResponseWriter, r *http.Request) {
	if q := srv.find(s, r); q != nil {
		srv.answer(q, w, r)
		return
	}
	refuse(w, errorf(1003, "02000", "Statement %s not found", r.PathValue("id")), "")
}

func (srv *Server) monitor(s *session, w http.ResponseWriter, r *http.Request) {
	q := srv.find(s, r)
	if q == nil {
		reply(w, map[string]any{"queries": []any{}})
		return
	}
	state, code, message := "RUNNING", "", ""
	if q.ended() {
		state = "SUCCESS"
		if e, ok := errors.AsType[*sqlError](q.err); ok {
			state, code, message = "FAILED_WITH_ERROR", fmt.Sprintf("%06d", e.Number), e.Message
		}
	}
	reply(w, map[string]any{"queries": []any{map[string]any{
		"id": q.id, "status": state, "sqlText": q.text, "startTime": q.started.UnixMilli(), "errorCode": code, "errorMessage": message,
	}}})
}

// abort cancels a running query.
func (srv *Server) abort(s *session, w http.ResponseWriter, r *http.Request) {
	var request struct {
		RequestID string `json:"requestId"`
	}
	if err := body(r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := s.queries[request.RequestID]
	if q == nil || q.ended() {
		write(w, envelope{Code: notExecuting, Message: "Identified SQL statement is not currently executing."})
		return
	}
	q.aborted = true
	srv.changed.Broadcast()
	reply(w, nil)
}
