package sharing_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/warehouses/delta"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

func TestAShareHasThePublicTablesAndNothingElse(t *testing.T) {
	r := setup(t, folder(t))
	if names, _ := r.get(t, "/shares/acme-lake/all-tables").names(t); len(names) > 0 {
		t.Errorf("before anything was published, it has %v", names)
	}
	r.add(t, "wf_cities", 1, "job-1", `{"city":"Aachen"}`)
	r.add(t, "wf_cities", 2, "job-2", `{"city":"Aachen"}`) // loaded, and not yet described
	r.add(t, "wf_towns", 1, "job-3", `{"city":"Bonn"}`)
	for _, internal := range []string{"_STAGING", "STG_cities", "RAW"} {
		table := delta.Open(r.store, internal, delta.Options{})
		if _, err := table.Create(t.Context(), delta.Definition{Name: internal, Columns: citySchema.Columns("kadoa")}); err != nil {
			t.Fatal(err)
		}
	}
	r.show(t, "wf_cities", 1, false)
	r.show(t, "wf_towns", 1, true)
	r.upsert(t, waybill.TableFields, delta.Row{"WORKFLOW_ID": "wf_cities", "SCHEMA_VERSION": int64(1), "POSITION": int64(1)})
	r.upsert(t, waybill.TableActivity, delta.Row{"EVENT_ID": "e"})

	wants := func(want ...string) {
		t.Helper()
		for _, path := range []string{"/shares/acme-lake/all-tables", "/shares/acme-lake/schemas/kadoa/tables"} {
			if names, _ := r.get(t, path).names(t); !slices.Equal(names, want) {
				t.Errorf("%s lists %v, want %v", path, names, want)
			}
		}
	}
	wants("WF_CITIES__V1", "WF_TOWNS__LATEST", "WF_TOWNS__V1", "WORKFLOW_SCHEMA_FIELDS", "WORKFLOW_SCHEMA_VERSIONS")
	for _, hidden := range []string{"WF_CITIES__V2", "_STAGING", "STG_cities", "RAW", "ACTIVITY_LOG", "WF_CITIES__LATEST", "..%2Fother", "WF_CITIES__V1%2F_delta_log"} {
		r.get(t, "/shares/acme-lake/schemas/kadoa/tables/"+hidden+"/metadata").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
		r.do(t, http.MethodPost, "/shares/acme-lake/schemas/kadoa/tables/"+hidden+"/query", "{}").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
	}

	// A narrower connector, and one that has the activity log.
	r.share.Workflows, r.share.Activity = []string{"wf_cities"}, true
	wants("ACTIVITY_LOG", "WF_CITIES__V1", "WORKFLOW_SCHEMA_FIELDS", "WORKFLOW_SCHEMA_VERSIONS")
	r.get(t, "/shares/acme-lake/schemas/kadoa/tables/WF_TOWNS__V1/metadata").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")

	// What comes is seen at once.
	r.show(t, "wf_cities", 2, false)
	wants("ACTIVITY_LOG", "WF_CITIES__V1", "WF_CITIES__V2", "WORKFLOW_SCHEMA_FIELDS", "WORKFLOW_SCHEMA_VERSIONS")
}

func TestTheActivityLogIsListedBeforeAnyRunWasPublished(t *testing.T) {
	r := setup(t, folder(t))
	r.share.Activity = true
	names := func() string {
		t.Helper()
		list, _ := r.get(t, "/shares/acme-lake/all-tables").names(t)
		return strings.Join(list, " ")
	}
	if got := names(); got != "" {
		t.Errorf("before there is anything, %s is listed", got)
	}
	r.upsert(t, waybill.TableActivity) // no event yet
	if got := names(); got != "ACTIVITY_LOG" {
		t.Errorf("as soon as it is there, %q is listed", got)
	}
	if got := r.get(t, "/shares/acme-lake/schemas/kadoa/tables/ACTIVITY_LOG/metadata"); got.status != http.StatusOK {
		t.Errorf("its metadata: %d %s", got.status, got.body)
	}
	r.get(t, "/shares/acme-lake/schemas/kadoa/tables/WORKFLOW_RUNS/metadata").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
	r.share.Activity = false
	if got := names(); got != "" {
		t.Errorf("switched off, %s is listed", got)
	}
}

func TestListsArePaged(t *testing.T) {
	r := cities(t, folder(t))
	r.show(t, "wf_cities", 2, false)
	want, _ := r.get(t, "/shares/acme-lake/all-tables").names(t)
	if len(want) != 3 {
		t.Fatalf("listed %v", want)
	}
	for path, all := range map[string][]string{"/shares": {"acme-lake"}, "/shares/acme-lake/schemas": {"kadoa"},
		"/shares/acme-lake/schemas/kadoa/tables": want, "/shares/acme-lake/all-tables": want} {
		for most := 1; most <= len(all)+1; most++ {
			var got []string
			names, next := r.get(t, fmt.Sprintf("%s?maxResults=%d", path, most)).names(t)
			for got = names; next != ""; got = append(got, names...) {
				names, next = r.get(t, fmt.Sprintf("%s?maxResults=%d&pageToken=%s", path, most, url.QueryEscape(next))).names(t)
				if len(names) > most {
					t.Fatalf("%s: a page of %d has %v", path, most, names)
				}
			}
			if !slices.Equal(got, all) {
				t.Errorf("%s in pages of %d: %v, want %v", path, most, got, all)
			}
		}
		none, next := r.get(t, path+"?maxResults=0").names(t)
		if len(none) != 0 || next == "" {
			t.Errorf("%s: a page of 0 has %v, and then %q", path, none, next)
		}
		if names, _ := r.get(t, path+"?pageToken="+url.QueryEscape(next)).names(t); !slices.Equal(names, all) {
			t.Errorf("%s: after a page of 0 come %v", path, names)
		}
		for _, bad := range []string{"maxResults=-1", "maxResults=many", "maxResults=99999999999", "pageToken=%25"} {
			r.get(t, path+"?"+bad).wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
		}
	}
	if got := r.get(t, "/shares/ACME-Lake").ok(t).body; got != `{"share":{"name":"acme-lake","id":"acme-lake"}}` {
		t.Errorf("the share is %s", got)
	}
}

func TestOnlyAValidTokenOpensTheShare(t *testing.T) {
	r := cities(t, folder(t))
	refused := func(bearer string) {
		t.Helper()
		for _, path := range []string{"/shares", cityTable + "/metadata", "/shares/other"} {
			p := r.get(t, path, "Authorization", bearer)
			p.wants(t, http.StatusUnauthorized, "UNAUTHENTICATED")
			if p.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: the client is not told how to log in", path)
			}
		}
	}
	for _, bad := range []string{"", "Bearer", "Bearer x", "Bearer " + r.bearer + "x", "Bearer " + r.bearer[:len(r.bearer)-1], "Basic " + r.bearer,
		"Bearer other" + strings.TrimPrefix(r.bearer, connector), "Bearer ../" + r.bearer} {
		refused(bad)
	}
	r.get(t, "/shares", "Authorization", "bearer "+r.bearer).ok(t)
	if stored := string(r.docs.docs["share-tokens/"+connector]); strings.Contains(stored, strings.TrimPrefix(r.bearer, connector+".")) {
		t.Errorf("the token itself is kept: %s", stored)
	}
	if _, _, err := r.book.Issue(t.Context(), connector, time.Hour); !errors.Is(err, sharing.ErrHandedOut) {
		t.Errorf("a second first token: %v", err)
	}

	// Both are valid for the overlap, then the new one alone.
	old := r.bearer
	renewed, _, err := r.book.Rotate(t.Context(), connector, 3*time.Hour, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.get(t, "/shares").ok(t)
	r.get(t, "/shares", "Authorization", "Bearer "+renewed).ok(t)
	r.skew = time.Hour + time.Second
	refused("Bearer " + old)
	r.get(t, "/shares", "Authorization", "Bearer "+renewed).ok(t)
	r.skew = 3 * time.Hour
	refused("Bearer " + renewed)

	// Once more, and revoked: at once.
	r.skew = 0
	again, _, err := r.book.Rotate(t.Context(), connector, time.Hour, 0)
	if err != nil {
		t.Fatal(err)
	}
	refused("Bearer " + renewed)
	r.get(t, "/shares", "Authorization", "Bearer "+again).ok(t)
	if n, err := r.book.Revoke(t.Context(), connector); n != 1 || err != nil {
		t.Errorf("revoked %d, %v", n, err)
	}
	refused("Bearer " + again)
}

func TestAConnectorThatIsGoneIsNoShare(t *testing.T) {
	r := cities(t, folder(t))
	bearer, _, err := r.book.Issue(t.Context(), "deleted", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.get(t, "/shares", "Authorization", "Bearer "+bearer).wants(t, http.StatusUnauthorized, "UNAUTHENTICATED")
	// Nobody sees another connector's share, whether there is one or not.
	r.get(t, "/shares/deleted").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
	r.get(t, "/shares/never").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
}

func TestAddressesThatAreNotAllowedAreRefused(t *testing.T) {
	r := cities(t, folder(t))
	r.share.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	r.get(t, "/shares").wants(t, http.StatusForbidden, "PERMISSION_DENIED")
	r.get(t, "/shares", "X-Forwarded-For", "203.0.113.7").wants(t, http.StatusForbidden, "PERMISSION_DENIED")
	r.share.AllowedIPs = append(r.share.AllowedIPs, netip.MustParsePrefix("127.0.0.0/8"))
	r.get(t, "/shares").ok(t)
}

func TestBothResponseFormats(t *testing.T) {
	r := cities(t, folder(t))
	for _, c := range []struct{ capabilities, format string }{
		{"", "parquet"}, {"responseformat=parquet", "parquet"}, {"ResponseFormat=DELTA", "delta"}, {"responseformat=delta,parquet", "parquet"},
		{"readerfeatures=deletionvectors;responseformat=Delta,Parquet", "parquet"}, {"responseformat=delta;readerfeatures=deletionvectors;includeEndStreamAction=true", "delta"},
	} {
		p := r.do(t, http.MethodPost, strings.ToLower(cityTable)+"/query", "{}", "delta-sharing-capabilities", c.capabilities).ok(t)
		lines := p.lines(t)
		if got := p.header.Get("Delta-Table-Version"); got != "3" {
			t.Errorf("version %q", got)
		}
		if got := p.header.Get("Content-Type"); got != "application/x-ndjson; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
		wantEnd := strings.Contains(c.capabilities, "EndStream")
		if got := p.header.Get("Delta-Sharing-Capabilities"); !strings.HasPrefix(got, "responseformat="+c.format) || strings.Contains(got, "endstream") != wantEnd {
			t.Errorf("%q is answered with %q", c.capabilities, got)
		}
		if end := lines["endStreamAction"]; (len(end) == 1) != wantEnd || (wantEnd && end[0]["minUrlExpirationTimestamp"] == nil) {
			t.Errorf("%q: the stream ends with %v", c.capabilities, end)
		}
		files := lines["file"]
		if len(files) != 3 || len(lines["protocol"]) != 1 || len(lines["metaData"]) != 1 {
			t.Fatalf("%q: %s", c.capabilities, p.body)
		}
		meta, protocol := lines["metaData"][0], lines["protocol"][0]
		ids := map[any]bool{}
		for _, f := range files {
			ids[f["id"]] = true
			read, stats := f["url"], f["stats"]
			if c.format == "delta" {
				add := f["deltaSingleAction"].(map[string]any)["add"].(map[string]any)
				read, stats = add["path"], add["stats"]
				if add["size"] == nil || add["partitionValues"] == nil || add["modificationTime"] == nil {
					t.Errorf("a file is told as %v", f)
				}
			}
			if until := time.UnixMilli(int64(f["expirationTimestamp"].(float64))); time.Until(until) < 50*time.Minute || time.Until(until) > time.Hour {
				t.Errorf("a URL lives until %s", until)
			}
			if !strings.Contains(stats.(string), `"numRecords":2`) {
				t.Errorf("statistics %v", stats)
			}
			if body := r.get(t, read.(string)).ok(t).body; !strings.HasPrefix(body, "PAR1") {
				t.Errorf("%s does not give a Parquet file", read)
			}
		}
		if len(ids) != 3 {
			t.Errorf("files have the ids %v", ids)
		}
		schema := meta["schemaString"]
		if c.format == "delta" {
			deltaMeta := meta["deltaMetadata"].(map[string]any)
			schema = deltaMeta["schemaString"]
			if protocol["deltaProtocol"].(map[string]any)["minReaderVersion"] != 1.0 || meta["numFiles"] != 3.0 || deltaMeta["format"] == nil {
				t.Errorf("%v %v", protocol, meta)
			}
		} else if protocol["minReaderVersion"] != 1.0 || meta["id"] == "" || fmt.Sprint(meta["partitionColumns"]) != "[]" {
			t.Errorf("%v %v", protocol, meta)
		}
		if !strings.Contains(schema.(string), `"KADOA_JOB_ID"`) {
			t.Errorf("schema %v", schema)
		}
		head := r.get(t, cityTable+"/metadata", "delta-sharing-capabilities", c.capabilities).ok(t)
		if got := head.lines(t); len(got["metaData"]) != 1 || len(got["file"]) != 0 || head.header.Get("Delta-Table-Version") != "3" {
			t.Errorf("metadata %s", head.body)
		}
	}
	r.get(t, cityTable+"/metadata", "delta-sharing-capabilities", "responseformat=arrow").wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
}

func TestTheVersionIsOfTheNewestCommit(t *testing.T) {
	r := cities(t, folder(t))
	for _, request := range [][2]string{{http.MethodGet, cityTable + "/version"}, {http.MethodHead, cityTable}, {http.MethodHead, cityTable + "/version"}} {
		if got := r.do(t, request[0], request[1], "").ok(t).header.Get("Delta-Table-Version"); got != "3" {
			t.Errorf("%v: version %q", request, got)
		}
	}
	r.add(t, "wf_cities", 1, "job-4", `{"city":"Dresden"}`) // by another process, as far as the server knows
	if got := r.get(t, cityTable+"/version").ok(t).header.Get("Delta-Table-Version"); got != "4" {
		t.Errorf("after a commit the version is %q", got)
	}
	if files := r.query(t, "{}"); len(files) != 4 {
		t.Errorf("after a commit there are %d files", len(files))
	}
}

func TestTimeTravel(t *testing.T) {
	r := cities(t, folder(t))
	versions, err := r.table(t, "wf_cities", 1).Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return versions[i].At.Format(time.RFC3339Nano) }
	for body, want := range map[string]int{`{"version":3}`: 3, `{"version":1}`: 1, `{"version":0}`: 0,
		`{"timestamp":"` + at(2) + `"}`: 2, `{"timestamp":"2999-01-01T00:00:00Z"}`: 3} {
		p := r.do(t, http.MethodPost, cityTable+"/query", body).ok(t)
		if files := p.lines(t)["file"]; len(files) != want || p.header.Get("Delta-Table-Version") != fmt.Sprint(want) {
			t.Errorf("%s gives %d files of version %s, want %d", body, len(files), p.header.Get("Delta-Table-Version"), want)
		}
	}
	if got := r.get(t, cityTable+"/metadata?version=1").ok(t).header.Get("Delta-Table-Version"); got != "1" {
		t.Errorf("metadata is of version %s", got)
	}
	for _, body := range []string{`{"version":9}`, `{"version":-1}`, `{"version":1,"timestamp":"` + at(2) + `"}`, `{"timestamp":"yesterday"}`,
		`{"timestamp":""}`, `{"timestamp":"1999-01-01T00:00:00Z"}`} {
		r.do(t, http.MethodPost, cityTable+"/query", body).wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
	}
	for start, want := range map[string]string{"1999-01-01T00:00:00Z": "0", at(2): "2", versions[2].At.Add(time.Microsecond).Format(time.RFC3339Nano): "3"} {
		if got := r.get(t, cityTable+"/version?startingTimestamp="+url.QueryEscape(start)).ok(t).header.Get("Delta-Table-Version"); got != want {
			t.Errorf("from %s: version %s, want %s", start, got, want)
		}
	}
	for _, start := range []string{"2999-01-01T00:00:00Z", "now", "2025-01-01"} {
		r.get(t, cityTable+"/version?startingTimestamp="+start).wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
	}

	// A version whose files may have been swept is refused; one whose files all live is not.
	if _, err := r.table(t, "wf_cities", 1).Remove(t.Context(), delta.Load{Delivery: "d-job-Aachen", Generation: 2, JobID: "job-Aachen"}); err != nil {
		t.Fatal(err)
	}
	if files := r.query(t, `{"version":3}`); len(files) != 3 {
		t.Errorf("the version before a removal has %d files", len(files))
	}
	r.bearer, _, err = r.book.Rotate(t.Context(), connector, 365*24*time.Hour, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.skew = 7 * 24 * time.Hour
	r.do(t, http.MethodPost, cityTable+"/query", `{"version":3}`).wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
	if files := r.query(t, `{"version":0}`); len(files) != 0 {
		t.Errorf("version 0 has %d files", len(files))
	}
}

func TestWhatIsNotServedIsRefusedClearly(t *testing.T) {
	r := cities(t, folder(t))
	post := func(body string) reply { return r.do(t, http.MethodPost, cityTable+"/query", body) }
	for _, body := range []string{"", "{", "[", "nothing", `{"version":1}}`} {
		post(body).wants(t, http.StatusBadRequest, "MALFORMED_REQUEST")
	}
	post(`{"predicateHints":["`+strings.Repeat("x", 1<<20)+`"]}`).wants(t, http.StatusBadRequest, "MALFORMED_REQUEST")
	for _, body := range []string{"[]", `"x"`, `{"version":"1"}`, `{"limitHint":"all"}`, `{"limitHint":-1}`, `{"limitHint":1.5}`, `{"predicateHints":"a = 1"}`,
		`{"jsonPredicateHints":{"op":"and"}}`, `{"timestamp":5}`, `{"maxFiles":0}`, `{"pageToken":"x"}`, `{"refreshToken":"x"}`} {
		post(body).wants(t, http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
	}
	for _, body := range []string{`{"startingVersion":0}`, `{"startingVersion":0,"endingVersion":1}`} {
		post(body).wants(t, http.StatusBadRequest, "UNSUPPORTED_OPERATION")
	}
	// What newer clients ask for without need of it, they get the files anyway.
	for _, body := range []string{`{}`, `{"maxFiles":1}`, `{"includeRefreshToken":true}`, `{"idempotency_key":"k"}`, `{"somethingNew":1}`, `{"limitHint":null}`} {
		if files := r.query(t, body, "delta-sharing-capabilities", "responseformat=parquet;asyncquery=true;fileidhash=sha256"); len(files) != 3 {
			t.Errorf("%s gives %d files", body, len(files))
		}
	}
	for _, path := range []string{"", "?startingVersion=0", "?startingVersion=0&endingVersion=1", "?startingTimestamp=2025-01-01T00:00:00Z"} {
		r.get(t, cityTable+"/changes"+path).wants(t, http.StatusBadRequest, "UNSUPPORTED_OPERATION")
	}
	r.do(t, http.MethodPost, cityTable+"/temporary-table-credentials", "{}").wants(t, http.StatusBadRequest, "UNSUPPORTED_OPERATION")
	r.do(t, http.MethodPost, cityTable+"/queries/q-1", "{}").wants(t, http.StatusBadRequest, "UNSUPPORTED_OPERATION")
	r.get(t, "/shares/acme-lake/schemas/other/tables").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
	r.get(t, "/nothing").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
	r.get(t, "/shares/acme-lake/schemas/kadoa/tables/nope/changes").wants(t, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
}

func TestFilesOfAFolderAreServedForAWhile(t *testing.T) {
	r := cities(t, folder(t))
	file := r.query(t, `{}`)[0]
	address, size := file["url"].(string), int(file["size"].(float64))
	whole := r.get(t, address).ok(t)
	if len(whole.body) != size || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d bytes of %d; ranges: %q", len(whole.body), size, whole.header.Get("Accept-Ranges"))
	}
	for bytes, want := range map[string]string{"bytes=0-3": whole.body[:4], "bytes=4-99": whole.body[4:100], "bytes=-8": whole.body[size-8:], "bytes=100-": whole.body[100:]} {
		if p := r.get(t, address, "Range", bytes); p.status != http.StatusPartialContent || p.body != want {
			t.Errorf("%s: %d with %d bytes, want %d", bytes, p.status, len(p.body), len(want))
		}
	}
	if p := r.get(t, address, "Range", fmt.Sprintf("bytes=%d-", size)); p.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("past the end: %d", p.status)
	}
	if p := r.do(t, http.MethodHead, address, "").ok(t); p.header.Get("Content-Length") != fmt.Sprint(size) {
		t.Errorf("HEAD: length %q", p.header.Get("Content-Length"))
	}

	// Nothing of it can be changed.
	for _, part := range []string{"/files/", connector + "/", "/WF_CITIES__V1/", "se=", "sig="} {
		if p := r.get(t, strings.Replace(address, part, part+"2", 1)); p.status != http.StatusForbidden {
			t.Errorf("%s was changed: %d", part, p.status)
		}
	}
	before, query, _ := strings.Cut(address, "?")
	r.get(t, before).wants(t, http.StatusForbidden, "PERMISSION_DENIED")
	r.get(t, before[:strings.LastIndex(before, "/")]+"/_delta_log/00000000000000000000.json?"+query).wants(t, http.StatusForbidden, "PERMISSION_DENIED")

	r.skew = time.Hour + time.Second
	r.get(t, address).wants(t, http.StatusForbidden, "PERMISSION_DENIED")
	r.skew = 0
	r.get(t, address).ok(t)
	if _, err := r.book.Revoke(t.Context(), connector); err != nil {
		t.Fatal(err)
	}
	r.get(t, address).wants(t, http.StatusForbidden, "PERMISSION_DENIED")
}

func TestTheDescriptionNamesEveryEndpoint(t *testing.T) {
	r := setup(t, folder(t))
	var d struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(r.get(t, "/openapi.json", "Authorization", "").ok(t).body), &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.0.") || len(d.Paths) < 12 {
		t.Fatalf("OpenAPI %s, %d paths", d.OpenAPI, len(d.Paths))
	}
	names := strings.NewReplacer("{share}", connector, "{schema}", "kadoa", "{table}", "WORKFLOW_RUNS", "{query}", "q")
	for path, methods := range d.Paths {
		for method := range methods {
			p := r.do(t, strings.ToUpper(method), names.Replace(path), "{}")
			if p.status == http.StatusMethodNotAllowed || strings.Contains(p.body, "is not an endpoint") {
				t.Errorf("%s %s is described, and answered with %d %s", method, path, p.status, p.body)
			}
		}
	}
}
