package snowflake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/waybillhq/waybill"
)

var (
	// ErrLostFence means: a newer attempt owns the lane. Nothing was changed.
	ErrLostFence = errors.New("a newer attempt owns the lane")
	// ErrStagedFiles means: what is staged does not give the run's rows, and has
	// to be staged again.
	ErrStagedFiles = errors.New("the staged files do not give the run's rows")
)

// fault is one kind of failure and what it is recognised by: words of the
// message where one number stands for several causes, then the number, then
// the class of the SQLSTATE.
//
// https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting
// https://docs.snowflake.com/en/user-guide/data-sharing-troubleshooting
type fault struct {
	words   []string // any of them, in lower case
	numbers []int
	states  []string // SQLSTATE, or its first two letters

	verdict waybill.Verdict
	code    string
	action  string // with {role}, {grant}, {account} and {region} filled in
	means   error
}

const (
	codeBadJWT        = 390144
	codeSessionGone   = 390111
	codeNotFound      = 2003
	lockWaitsFor      = 10 * time.Second
	codeLostFence     = "snowflake.lost_fence"
	codeNotConfigured = "snowflake.bad_secret"
)

// faults is the one table of what can go wrong with an account.
var faults = []fault{
	{
		numbers: []int{-20001, 20001},
		verdict: waybill.Transient, code: codeLostFence, means: ErrLostFence,
		action: "A newer attempt owns the lane; this one ends, and that one goes on.",
	}, {
		numbers: []int{-20002, 20002},
		verdict: waybill.Transient, code: "snowflake.wrong_count", means: ErrStagedFiles,
		action: "The table does not have the rows of the run; the step is repeated by itself, and if that does not help, replace the run.",
	}, {
		words:   []string{"following accounts cannot be added"},
		verdict: waybill.Blocked, code: "snowflake.account_not_addable",
		action: "Snowflake does not let us add {account}: it is in another region or cloud than {region}, or there is no such account, or the name is not its organization and account name; ask the customer for the result of SELECT CURRENT_ORGANIZATION_NAME(), CURRENT_ACCOUNT_NAME(), CURRENT_REGION() and correct the connector.",
	}, {
		words:   []string{"business critical", "lower edition"},
		verdict: waybill.Blocked, code: "snowflake.edition",
		action: "Our account is of a higher edition than {account}: allow it with allowLowerEdition in the connector, which needs {override}.",
	}, {
		words:   []string{"resource monitor"},
		numbers: []int{90073},
		verdict: waybill.Blocked, code: "snowflake.quota",
		action: "The warehouse's resource monitor has used up its quota; raise it or wait for its next interval, then retry the delivery.",
	}, {
		numbers: []int{606, 90109, 90064},
		verdict: waybill.Blocked, code: "snowflake.no_warehouse",
		action: "The warehouse is missing or suspended and cannot be resumed; run: GRANT USAGE, OPERATE ON WAREHOUSE {warehouse} TO ROLE {role}, or resume it.",
	}, {
		numbers: []int{codeBadJWT},
		verdict: waybill.Blocked, code: "snowflake.bad_key",
		action: "Snowflake refuses our key: set the public key of privateKey as the user's RSA_PUBLIC_KEY or RSA_PUBLIC_KEY_2, and see that the user's name and the machine's clock are right.",
	}, {
		numbers: []int{390303, 390309, 390318, 390195},
		verdict: waybill.Blocked, code: "snowflake.bad_token",
		action: "Snowflake refuses the OAuth token or it has expired; renew it where the fleet's configuration refers to.",
	}, {
		numbers: []int{390422, 390420},
		verdict: waybill.Blocked, code: "snowflake.network_policy",
		action: "A network policy of our account refuses the fleet's address; allow it there.",
	}, {
		numbers: []int{390189, 390186, 390201, 390190},
		verdict: waybill.Blocked, code: "snowflake.role",
		action: "The role {role} or the warehouse {warehouse} does not exist, or the user may not use it; run: GRANT ROLE {role} TO USER {user}.",
	}, {
		numbers: []int{260008, 261004, 390100, 390101, 390102, 394400, 394300, 394301, 394302, 394303, 394304},
		verdict: waybill.Blocked, code: "snowflake.login",
		action: "Our Snowflake account refuses the login; check account, user and credentials in the fleet's configuration.",
	}, {
		numbers: []int{codeSessionGone, 390112, 390114, 390110},
		verdict: waybill.Transient, code: "snowflake.session",
		action: "The session with Snowflake ended; the step is repeated by itself.",
	}, {
		numbers: []int{625, 628},
		verdict: waybill.Throttled, code: "snowflake.lock_waiters",
		action: "Too many statements wait for one table; Waybill waits and tries again by itself.",
	}, {
		numbers: []int{3001}, states: []string{"42501"},
		verdict: waybill.Blocked, code: "snowflake.privilege",
		action: "The role {role} lacks a privilege; run: {grant}.",
	}, {
		numbers: []int{codeNotFound, 2043},
		verdict: waybill.Blocked, code: "snowflake.not_found",
		action: "Something of the connector is not there, or the role {role} may not use it; run waybill connector apply again, or: {grant}.",
	}, {
		numbers: []int{91016},
		words:   []string{"remote file"},
		verdict: waybill.Transient, code: "snowflake.staged_file", means: ErrStagedFiles,
		action: "A staged file is not where it was put; the delivery stages it again by itself.",
	}, {
		numbers: []int{3516, 3517, 1420},
		verdict: waybill.Permanent, code: "snowflake.share_refused",
		action: "Snowflake refuses a change of the share; look at the worker's log for its reason.",
	}, {
		numbers: []int{604, 630}, states: []string{"57014"},
		verdict: waybill.Transient, code: "snowflake.cancelled",
		action: "Snowflake ended the statement, for its time limit or by hand; the step is repeated by itself; if it lasts, take a larger warehouse.",
	}, {
		numbers: []int{260007, 261000, 261001, 261008, 262000, 264002, 264003, 266001, 265002},
		states:  []string{"08"},
		verdict: waybill.Transient, code: "snowflake.unreachable",
		action: "Snowflake cannot be reached; the step is repeated by itself; if it lasts, check the account's name and the network.",
	}, {
		states:  []string{"22"},
		verdict: waybill.Permanent, code: "snowflake.bad_value",
		action: "Snowflake does not take a value of the run, such as a text beyond 16 MiB; look at the worker's log for the column.",
	}, {
		states:  []string{"42"},
		verdict: waybill.Permanent, code: "snowflake.refused",
		action: "Snowflake refuses a statement of Waybill's; look at the worker's log for its reason.",
	},
}

var (
	loginFault = fault{verdict: waybill.Blocked, code: "snowflake.login",
		action: "Our Snowflake account refuses the login; check account, user and credentials in the fleet's configuration."}
	unreachable = fault{verdict: waybill.Transient, code: "snowflake.unreachable",
		action: "Snowflake cannot be reached; the step is repeated by itself; if it lasts, check the account's name and the network."}
	unknownFault = fault{verdict: waybill.Transient, code: "snowflake.unknown",
		action: "Snowflake reports a fault that Waybill does not know; the step is repeated by itself; look at the worker's log for it."}
)

// numberOf is the vendor's number of an error, and 0 of any other.
func numberOf(err error) int {
	if e, ok := errors.AsType[*gosnowflake.SnowflakeError](err); ok {
		return e.Number
	}
	return 0
}

// sessionGone reports whether the server no longer knows the session. The
// driver renews one that has only expired (390112); where that fails, it is
// gone as well.
func sessionGone(err error) bool {
	return slices.Contains([]int{codeSessionGone, 390112, 390114}, numberOf(err))
}

// matches reports whether the row is that of an error.
func (f fault) matches(e *gosnowflake.SnowflakeError) bool {
	message := strings.ToLower(e.Error())
	return slices.ContainsFunc(f.words, func(w string) bool { return strings.Contains(message, w) }) ||
		slices.Contains(f.numbers, e.Number) ||
		slices.ContainsFunc(f.states, func(s string) bool { return e.SQLState == s || len(s) == 2 && strings.HasPrefix(e.SQLState, s) })
}

// faultOf finds an error's row.
func faultOf(err error) fault {
	e, ok := errors.AsType[*gosnowflake.SnowflakeError](err)
	if !ok {
		return unreachable // the driver tells faults of the network in plain errors
	}
	for _, f := range faults {
		if f.matches(e) {
			return f
		}
	}
	if e.Number >= 390000 && e.Number < 400000 {
		return loginFault
	}
	return unknownFault
}

// about is what the sentences of the table speak of.
type about struct{ grant, account, region string }

// fail classifies an error of a statement.
func (a *Account) fail(err error, what about) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*waybill.Failure](err); ok {
		return err
	}
	f := faultOf(err)
	failure := &waybill.Failure{Verdict: f.verdict, Code: f.code, Err: err, Action: strings.NewReplacer(
		"{role}", ident(a.cfg.Role), "{warehouse}", ident(a.cfg.Warehouse), "{user}", ident(a.cfg.User), "{grant}", what.grant,
		"{account}", what.account, "{region}", what.region, "{override}", fmt.Sprintf("GRANT OVERRIDE SHARE RESTRICTIONS ON ACCOUNT TO ROLE %s", ident(a.cfg.Role)),
	).Replace(f.action)}
	if f.verdict == waybill.Throttled {
		failure.After = lockWaitsFor
	}
	if f.means != nil {
		failure.Err = fmt.Errorf("%w: %w", f.means, failure.Err)
	}
	return failure
}

func badSecret(what string, err error) error {
	return &waybill.Failure{Verdict: waybill.Blocked, Code: codeNotConfigured, Err: fmt.Errorf("%s: %w", what, err),
		Action: fmt.Sprintf("What stands for the %s of our Snowflake account cannot be used; put a right one where the fleet's configuration refers to.", what)}
}
