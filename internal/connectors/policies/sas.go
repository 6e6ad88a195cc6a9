package policies

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Warning Severity = "warning" // it will fail some day
	Failing Severity = "failed"  // it fails now
)

// Finding is something that a shared access signature says of itself.
type Finding struct {
	Severity Severity
	Text     string // one sentence, with nothing secret
}

// sasAhead is how long before its end a signature is warned of.
const sasAhead = 14 * 24 * time.Hour

// CheckSAS looks at a shared access signature of Azure Storage without using
// it: whether it is of a container, for long enough, and allows what a
// delivery does. None of its findings shows a part of its secret.
//
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas
func CheckSAS(token string, now time.Time) (list []Finding) {
	add := func(s Severity, format string, args ...any) {
		list = append(list, Finding{s, fmt.Sprintf(format, args...)})
	}
	q, err := url.ParseQuery(strings.TrimPrefix(strings.TrimSpace(token), "?"))
	if err != nil || q.Get("sig") == "" || q.Get("sv") == "" {
		add(Failing, "What access.sas points to is not a shared access signature; it begins with sv= and holds sig=.")
		return list
	}
	if start, err := sasTime(q.Get("st")); err == nil && start.After(now) {
		add(Failing, "The shared access signature is not valid before %s; make one that begins now, or wait.", start.Format(time.RFC3339))
	}
	list = append(list, sasEnd(q, now)...)
	switch {
	case q.Get("ss") != "": // of the account
		if !strings.Contains(q.Get("ss"), "b") || !strings.Contains(q.Get("srt"), "o") {
			add(Failing, "The shared access signature is not for blobs and their objects; make one with ss=b and srt=o, or one of the container.")
		}
	case q.Get("sr") != "c" && q.Get("sr") != "d":
		add(Failing, "The shared access signature is not for a container; make one with sr=c.")
	}
	if missing := sasMissing(q); missing != "" {
		add(Failing, "The shared access signature lacks %s; make one with sp=rcwd.", missing)
	}
	return list
}

// SASEnd is when a shared access signature ends; zero where it does not say.
func SASEnd(token string) time.Time {
	q, _ := url.ParseQuery(strings.TrimPrefix(strings.TrimSpace(token), "?")) // what can be read of it
	end, err := sasTime(q.Get("se"))
	if err != nil {
		return time.Time{}
	}
	return end
}

// sasEnd looks at when it ends. One that follows a stored policy may not say.
func sasEnd(q url.Values, now time.Time) []Finding {
	end, err := sasTime(q.Get("se"))
	switch {
	case q.Get("se") == "" && q.Get("si") != "":
		return []Finding{{Warning, "The shared access signature ends when the container's stored access policy says; look there."}}
	case err != nil:
		return []Finding{{Failing, "The shared access signature has no end that can be read; make one with an expiry such as 2026-12-31T00:00Z."}}
	case !end.After(now):
		return []Finding{{Failing, fmt.Sprintf("The shared access signature ended at %s; make another one.", end.Format(time.RFC3339))}}
	case end.Sub(now) < sasAhead:
		return []Finding{{Warning, fmt.Sprintf("The shared access signature ends at %s, in %d days; make another one before.", end.Format(time.RFC3339), int(end.Sub(now).Hours()/24))}}
	}
	return nil
}

// sasMissing names the permissions that are not there. Those of a stored
// policy are not in the signature.
func sasMissing(q url.Values) string {
	if q.Get("sp") == "" && q.Get("si") != "" {
		return ""
	}
	var names []string
	for _, p := range []struct{ letter, name string }{{"r", "read (r)"}, {"c", "create (c)"}, {"w", "write (w)"}, {"d", "delete (d), for the probe"}} {
		if !strings.Contains(q.Get("sp"), p.letter) {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, ", ")
}

func sasTime(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
		if t, err = time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return t, err
}
