package storage

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/waybillhq/waybill"
)

// Every row is reachable and says something to somebody.
func TestFaultTable(t *testing.T) {
	codes, statuses := map[string]string{}, map[int]string{}
	for _, f := range slices.Concat(faults, []fault{refused, unreachable, untrusted, cancelled}) {
		if !strings.HasPrefix(f.code, "storage.") || f.verdict == "" || !strings.HasSuffix(f.action, ".") {
			t.Errorf("row %+v is not complete", f)
		}
		if strings.Contains(f.failure("bucket acme", errors.New("x")).Action, "{") {
			t.Errorf("%s has a blank that is not filled in: %s", f.code, f.action)
		}
		for _, code := range f.codes {
			if other, twice := codes[code]; twice {
				t.Errorf("%s is in the rows %s and %s", code, other, f.code)
			}
			codes[code] = f.code
		}
		for _, status := range f.statuses {
			if other, twice := statuses[status]; twice {
				t.Errorf("%d is in the rows %s and %s", status, other, f.code)
			}
			statuses[status] = f.code
		}
	}
}

// What a disk answers that tests cannot bring about.
func TestFolderFailuresByErrno(t *testing.T) {
	f := &Folder{dir: t.TempDir()}
	for errno, want := range map[syscall.Errno]struct {
		verdict waybill.Verdict
		code    string
	}{
		syscall.EACCES:       {waybill.Blocked, "storage.access_denied"},
		syscall.EPERM:        {waybill.Blocked, "storage.access_denied"},
		syscall.EROFS:        {waybill.Blocked, "storage.access_denied"},
		syscall.ENOSPC:       {waybill.Blocked, "storage.full"},
		syscall.EDQUOT:       {waybill.Blocked, "storage.full"},
		syscall.EIO:          {waybill.Transient, "storage.io"},
		syscall.EMFILE:       {waybill.Transient, "storage.io"},
		syscall.ESTALE:       {waybill.Transient, "storage.io"},
		syscall.EFBIG:        {waybill.Permanent, "storage.too_large"},
		syscall.ENAMETOOLONG: {waybill.Blocked, "storage.key_too_long"},
		syscall.ENOTDIR:      {waybill.Blocked, "storage.key_taken"},
		syscall.ENOENT:       {waybill.Permanent, "storage.not_found"},
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			err := f.fail(context.Background(), &fs.PathError{Op: "write", Path: "a", Err: errno})
			got, ok := errors.AsType[*waybill.Failure](err)
			if !ok || got.Verdict != want.verdict || got.Code != want.code || !errors.Is(err, errno) {
				t.Errorf("%v is %+v, want %+v", errno, got, want)
			}
			if !strings.Contains(got.Action, f.dir) && want.code != "storage.not_found" {
				t.Errorf("%q does not name the folder", got.Action)
			}
		})
	}
}
