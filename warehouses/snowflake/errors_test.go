package snowflake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill"
)

func TestEachCodeOfSnowflakeHasItsVerdictAndSentence(t *testing.T) {
	a := &Account{cfg: Config{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY"}}
	what := about{grant: `GRANT CREATE SHARE ON ACCOUNT TO ROLE "WAYBILL"`, account: "ACMEORG.PROD", region: "AWS_US_EAST_1"}
	for _, tc := range []struct {
		number  int
		state   string
		message string
		verdict waybill.Verdict
		code    string
		says    string
	}{
		{-20001, "P0001", "Uncaught exception of type 'LOST_FENCE' on line 9 at position 4 : a newer attempt owns the lane", waybill.Transient, "snowflake.lost_fence", "newer attempt"},
		{-20002, "P0001", "Uncaught exception of type 'WRONG_COUNT' on line 9", waybill.Transient, "snowflake.wrong_count", "rows of the run"},
		{3100, "", "Following accounts cannot be added to this share: PROD", waybill.Blocked, "snowflake.account_not_addable", "another region or cloud than AWS_US_EAST_1, or there is no such account, or the name is not its organization and account name"},
		{3098, "", "Sharing is not allowed from an account on BUSINESS CRITICAL edition to an account on a lower edition", waybill.Blocked, "snowflake.edition", `GRANT OVERRIDE SHARE RESTRICTIONS ON ACCOUNT TO ROLE "WAYBILL"`},
		{90073, "22000", "Warehouse 'DELIVERY' cannot be resumed because resource monitor has exceeded its quota", waybill.Blocked, "snowflake.quota", "resource monitor"},
		{606, "57P03", "No active warehouse selected in the current session", waybill.Blocked, "snowflake.no_warehouse", `ON WAREHOUSE "DELIVERY" TO ROLE "WAYBILL"`},
		{390144, "08001", "JWT token is invalid", waybill.Blocked, "snowflake.bad_key", "RSA_PUBLIC_KEY_2"},
		{390303, "", "Invalid OAuth access token", waybill.Blocked, "snowflake.bad_token", "OAuth"},
		{390318, "", "OAuth access token expired", waybill.Blocked, "snowflake.bad_token", "OAuth"},
		{390422, "", "Incoming request with IP is not allowed", waybill.Blocked, "snowflake.network_policy", "network policy"},
		{390189, "", "Role 'WAYBILL' specified in the connect string does not exist", waybill.Blocked, "snowflake.role", `GRANT ROLE "WAYBILL" TO USER "WAYBILL"`},
		{390100, "08001", "Incorrect username or password was specified", waybill.Blocked, "snowflake.login", "credentials"},
		{390999, "", "something new about logins", waybill.Blocked, "snowflake.login", "credentials"},
		{260008, "", "failed to connect to db", waybill.Blocked, "snowflake.login", "credentials"},
		{390111, "", "Session no longer exists", waybill.Transient, "snowflake.session", "session"},
		{625, "57014", "Statement has locked table", waybill.Throttled, "snowflake.lock_waiters", "wait for one table"},
		{3001, "42501", "Insufficient privileges to operate on account", waybill.Blocked, "snowflake.privilege", `run: GRANT CREATE SHARE ON ACCOUNT TO ROLE "WAYBILL"`},
		{2003, "02000", "Object does not exist or not authorized", waybill.Blocked, "snowflake.not_found", "connector apply"},
		{91016, "22000", "Remote file 's3://x/y.parquet' was not found", waybill.Transient, "snowflake.staged_file", "staged file"},
		{3516, "", "Cannot share from two databases", waybill.Permanent, "snowflake.share_refused", "log"},
		{604, "57014", "Query execution was canceled", waybill.Transient, "snowflake.cancelled", "time limit"},
		{630, "57014", "Statement reached its statement timeout", waybill.Transient, "snowflake.cancelled", "time limit"},
		{261000, "", "failed to POST", waybill.Transient, "snowflake.unreachable", "network"},
		{100078, "22000", "String 'x' is too long and would be truncated", waybill.Permanent, "snowflake.bad_value", "16 MiB"},
		{1003, "42000", "syntax error line 1", waybill.Permanent, "snowflake.refused", "log"},
		{904, "42000", "invalid identifier", waybill.Permanent, "snowflake.refused", "log"},
		{777777, "", "nobody knows", waybill.Transient, "snowflake.unknown", "log"},
	} {
		cause := fmt.Errorf("load: %w", &gosnowflake.SnowflakeError{Number: tc.number, SQLState: tc.state, Message: tc.message})
		f, ok := errors.AsType[*waybill.Failure](a.fail(cause, what))
		if !ok || f.Verdict != tc.verdict || f.Code != tc.code || !strings.Contains(f.Action, tc.says) {
			t.Errorf("%d %q is %+v; want %s %s saying %q", tc.number, tc.message, f, tc.verdict, tc.code, tc.says)
			continue
		}
		if strings.Contains(f.Action, tc.message) || strings.ContainsAny(f.Action, "{}") {
			t.Errorf("%d: the action is %q; want our own words, filled in", tc.number, f.Action)
		}
		if !errors.Is(f, cause) || (f.After > 0) != (f.Verdict == waybill.Throttled) || errors.Is(f, ErrLostFence) != (tc.code == "snowflake.lost_fence") {
			t.Errorf("%d: the failure is %+v, of %v", tc.number, f, f.Err)
		}
	}
}

func TestWhatIsNoErrorOfSnowflakeIsTheNetworks(t *testing.T) {
	a := &Account{}
	f, ok := errors.AsType[*waybill.Failure](a.fail(errors.New("timeout after 30s: HTTP Status: 503"), about{}))
	if !ok || f.Verdict != waybill.Transient || f.Code != "snowflake.unreachable" {
		t.Errorf("a plain error is %+v", f)
	}
	for _, ours := range []error{context.Canceled, context.DeadlineExceeded, blocked("x", "Do.", "because")} {
		if got := a.fail(ours, about{}); !errors.Is(got, ours) || got.Error() != ours.Error() {
			t.Errorf("%v became %v; want it as it was", ours, got)
		}
	}
}
