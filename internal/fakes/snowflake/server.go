package snowflake

import (
	"cmp"
	"context"
	"database/sql"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// Options of a server; the zero value is a usable one.
type Options struct {
	// Addr to listen on; default 127.0.0.1 and any port.
	Addr string
	// Locations are what external stages read, by the beginning of their URL:
	// "s3://bucket/" → [Folder].
	Locations map[string]Objects
	// Latency of each statement.
	Latency time.Duration
	// AbortIdleAfter is how long a transaction may be idle while another waits
	// for its locks; default 5 minutes.
	// https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions
	AbortIdleAfter time.Duration
	// Patience is how long a request waits for its statement before it is told to
	// ask again for the result; default 45 s.
	Patience time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Server is the service: its accounts and what is in them.
type Server struct {
	Host string
	Port int

	opts     Options
	http     *http.Server
	dir      string  // internal stages and what COPY reads
	duck     *sql.DB // one database in memory
	admin    *sql.Conn
	mu       sync.Mutex // everything below, and whatever runs in DuckDB
	changed  *sync.Cond // a lock was released, a session ended
	ids      int64
	commits  int // changes that others can see
	accounts []*Account
	sessions map[int64]*session
	log      []Statement
	faults   []*Injected
	latency  time.Duration
}

// Start starts a server for a test; the test's end stops it.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	srv, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// New starts a server; [Server.Close] stops it.
func New(opts Options) (*Server, error) {
	opts.AbortIdleAfter = cmp.Or(opts.AbortIdleAfter, 5*time.Minute)
	opts.Patience = cmp.Or(opts.Patience, 45*time.Second)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	srv := &Server{opts: opts, sessions: map[int64]*session{}, latency: opts.Latency}
	srv.changed = sync.NewCond(&srv.mu)
	if err := srv.openDuck(); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", cmp.Or(opts.Addr, "127.0.0.1:0"))
	if err != nil {
		srv.duck.Close()
		return nil, err
	}
	addr := listener.Addr().(*net.TCPAddr)
	srv.Host, srv.Port = addr.IP.String(), addr.Port
	srv.http = &http.Server{Handler: srv.routes(), ReadHeaderTimeout: 10 * time.Second}
	go srv.http.Serve(listener)
	return srv, nil
}

func (srv *Server) openDuck() (err error) {
	if srv.dir, err = os.MkdirTemp("", "snowflake"); err != nil {
		return err
	}
	if srv.duck, err = sql.Open("duckdb", ""); err != nil {
		return err
	}
	srv.admin, err = srv.connection()
	return err
}

// connection is a connection of DuckDB that orders NULLs as the service does.
//
// https://docs.snowflake.com/en/sql-reference/constructs/order-by#usage-notes
func (srv *Server) connection() (*sql.Conn, error) {
	conn, err := srv.duck.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(context.Background(), "SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
	return conn, err
}

// Close ends the sessions and stops the server.
func (srv *Server) Close() {
	srv.http.Close()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		s.close()
	}
	for _, f := range srv.faults {
		f.Release()
	}
	srv.admin.Close()
	srv.duck.Close()
	os.RemoveAll(srv.dir)
}

// AddAccount makes an account: a provider or a customer.
func (srv *Server) AddAccount(a Account) *Account {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	a.prepare(srv)
	srv.accounts = append(srv.accounts, &a)
	return &a
}

// SetLatency changes how long each statement takes at least.
func (srv *Server) SetLatency(d time.Duration) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.latency = d
}

func (srv *Server) now() time.Time { return srv.opts.Now() }

// wait lets others run until something changed, or for a while.
func (srv *Server) wait(d time.Duration) {
	timer := time.AfterFunc(d, srv.changed.Broadcast)
	defer timer.Stop()
	srv.changed.Wait()
}

// AbortTransactions rolls back what the sessions of a user left open, as an
// administrator would with SYSTEM$ABORT_TRANSACTION.
func (srv *Server) AbortTransactions(user string) (aborted int) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		if s.user.name == user && s.tx != nil {
			s.rollback()
			aborted++
		}
	}
	return aborted
}

// OpenTransactions is the number of transactions that hold their locks.
func (srv *Server) OpenTransactions() (open int) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, s := range srv.sessions {
		if s.tx != nil {
			open++
		}
	}
	return open
}
