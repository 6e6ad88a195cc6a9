package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/tokens"
)

const (
	cookieName      = "waybill_session"
	sessionLifetime = 12 * time.Hour
	largestForm     = 16 << 10
)

var (
	errForged = errors.New("the form does not prove that it is ours")
	errScope  = errors.New("the token only reads")
)

// session is who looks at a page.
type session struct {
	id    string // hash of the cookie
	csrf  string // what a form of ours holds
	grant tokens.Grant
}

// kept is what is kept of a session: with which token it began. That token's
// end is the session's too.
type kept struct {
	Name string `json:"name"`
	Hash string `json:"hash"`
}

// enter finds the visitor's session. Without one it shows the login.
func (v *visit) enter(o Options) bool {
	cookie, err := v.r.Cookie(cookieName)
	if err == nil {
		v.session, err = find(v.r.Context(), o, cookie.Value)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, http.ErrNoCookie), errors.Is(err, waybill.ErrNotFound), errors.Is(err, tokens.ErrNoToken):
		to := "/login"
		if v.r.Method == http.MethodGet && v.r.URL.Path != "/" {
			to += "?next=" + url.QueryEscape(v.r.URL.RequestURI())
		}
		http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	default:
		v.fail(err)
	}
	return false
}

func find(ctx context.Context, o Options, cookie string) (s session, err error) {
	s.id = tokens.Hash(cookie)
	doc, err := o.Ledger.Session(ctx, s.id)
	if err != nil {
		return session{}, err
	}
	var k kept
	if err := json.Unmarshal(doc, &k); err != nil {
		return session{}, fmt.Errorf("decode session: %w", err)
	}
	if s.grant, err = o.Tokens.FindHash(ctx, k.Name, k.Hash); err != nil {
		return session{}, err
	}
	// Only who has the cookie can know it, and the cookie does not follow from it.
	s.csrf = tokens.Hash("csrf:" + cookie)
	return s, nil
}

// ours checks that a form was sent from a page of this session.
func (v *visit) ours() error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, largestForm)
	if subtle.ConstantTimeCompare([]byte(v.r.PostFormValue("csrf")), []byte(v.csrf)) != 1 {
		return errForged
	}
	return nil
}

type loginForm struct {
	Next  string
	Wrong bool
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.show(w, &visit{Server: s, w: w, r: r}, http.StatusOK, "login", "Log in", loginForm{Next: local(r.URL.Query().Get("next"))})
}

// login begins a session of who has a valid token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, largestForm)
	v := &visit{Server: s, w: w, r: r}
	bearer, next := strings.TrimSpace(r.PostFormValue("token")), local(r.PostFormValue("next"))
	grant, err := s.o.Tokens.Find(r.Context(), bearer)
	if errors.Is(err, tokens.ErrNoToken) {
		s.o.Log.WarnContext(r.Context(), "login refused", "component", "web", "from", r.RemoteAddr)
		s.show(w, v, http.StatusUnauthorized, "login", "Log in", loginForm{Next: next, Wrong: true})
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	cookie := rand.Text() + rand.Text()
	doc, err := json.Marshal(kept{grant.Name, tokens.Hash(bearer)})
	if err == nil {
		err = s.o.Ledger.KeepSession(r.Context(), tokens.Hash(cookie), doc, sessionLifetime)
	}
	if err != nil {
		v.fail(err)
		return
	}
	s.o.Log.InfoContext(r.Context(), "logged in", "component", "web", "token", grant.Name)
	setCookie(w, r, cookie, int(sessionLifetime.Seconds()))
	http.Redirect(w, r, cmp.Or(next, "/"), http.StatusSeeOther) //nolint:gosec // next is a path of ours: see local
}

func (v *visit) logout() error {
	if err := v.ours(); err != nil {
		return err
	}
	if err := v.o.Ledger.EndSession(v.r.Context(), v.id); err != nil {
		return err
	}
	setCookie(v.w, v.r, "", -1)
	http.Redirect(v.w, v.r, "/login", http.StatusSeeOther)
	return nil
}

// setCookie: links from elsewhere show the page (Lax), forms from elsewhere
// come without a session. What ends TLS in front of us says so.
func setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is set where there is TLS
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// local is a path of ours, or nothing: a login must lead nowhere else.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return ""
	}
	return next
}
