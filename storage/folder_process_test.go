package storage_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill/storage"
)

// roles are what other processes do that tests start: this program again,
// with the role's name and a folder as its arguments.
var roles = map[string]func(dir string) error{"count": count, "hang": hang}

func TestMain(m *testing.M) {
	role, found := roles[os.Args[min(1, len(os.Args)-1)]]
	if !found {
		os.Exit(m.Run())
	}
	if err := role(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func other(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, role, dir)
	cmd.Stderr = os.Stderr
	return cmd
}

const counted = 40

// count adds one to the object "count", so many times, by If-Match.
func count(dir string) error {
	f, err := storage.OpenFolder(dir)
	if err != nil {
		return err
	}
	for added := 0; added < counted; {
		r, object, err := f.Get(context.Background(), "count", storage.GetOptions{})
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		n, nerr := strconv.Atoi(string(text))
		if err = errors.Join(err, nerr, r.Close()); err != nil {
			return err
		}
		if object.Metadata["count"] != string(text) {
			return fmt.Errorf("the count is %s, its metadata %v", text, object.Metadata)
		}
		next := strconv.Itoa(n + 1)
		_, err = f.Put(context.Background(), "count", strings.NewReader(next),
			storage.PutOptions{IfMatch: object.ETag, Metadata: map[string]string{"count": next}})
		switch {
		case err == nil:
			added++
		case !errors.Is(err, storage.ErrPrecondition):
			return err
		}
	}
	return f.Close()
}

// Three processes add to one count, and no addition is lost.
func TestFolderProcessesAgree(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	opts := storage.PutOptions{Metadata: map[string]string{"count": "0"}}
	if _, err := f.Put(t.Context(), "count", strings.NewReader("0"), opts); err != nil {
		t.Fatal(err)
	}
	var processes []*exec.Cmd
	for range 3 {
		p := other(t, "count", dir)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, filepath.Join(dir, "count")); got != strconv.Itoa(3*counted) {
		t.Errorf("the count is %s, want %d", got, 3*counted)
	}
	if left := folderLeftovers(t, f); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// hang writes to the object "a", says so, and waits for its end.
func hang(dir string) error {
	f, err := storage.OpenFolder(dir)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(make([]byte, 1<<20)) // returns when all of it was read
		fmt.Println("written")
	}()
	_, err = f.Put(context.Background(), "a", r, storage.PutOptions{})
	return err
}

// A writer that is killed leaves nothing visible, and what it left is removed
// once it is surely abandoned.
func TestFolderKilledWriter(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	put(t, f, "a", "what was there")
	writer := other(t, "hang", dir)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := writer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	if text := read(t, filepath.Join(dir, "a")); text != "what was there" {
		t.Errorf("a holds %d bytes", len(text))
	}
	left := folderLeftovers(t, f)
	if len(left) != 1 {
		t.Fatalf("the killed writer left %q", left)
	}
	openFolder(t, dir)
	if still := folderLeftovers(t, f); len(still) != 1 {
		t.Errorf("what could still have a writer is gone: %q", still)
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(left[0], yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	openFolder(t, dir)
	if still := folderLeftovers(t, f); len(still) != 0 {
		t.Errorf("abandoned, and still there: %q", still)
	}
	put(t, f, "a", "new")
}

func ExampleOpenFolder() {
	dir, err := os.MkdirTemp("", "bucket")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bucket, err := storage.OpenFolder(dir)
	if err != nil {
		panic(err)
	}
	defer bucket.Close()

	ctx := context.Background()
	key := "kadoa/team-1/wf_movies/2025-01-15T10-30-00Z-job_1/data.csv"
	_, err = bucket.Put(ctx, key, strings.NewReader("title,year\nMetropolis,1927\n"), storage.PutOptions{
		ContentType: "text/csv; charset=utf-8",
		Metadata:    map[string]string{"x-kadoa-format": "csv"},
		IfAbsent:    true,
	})
	if err != nil {
		panic(err)
	}
	_, err = bucket.Put(ctx, key, strings.NewReader("again"), storage.PutOptions{IfAbsent: true})
	fmt.Println("refused:", errors.Is(err, storage.ErrPrecondition))

	for object, err := range bucket.List(ctx, "kadoa/team-1/") {
		if err != nil {
			panic(err)
		}
		about, err := bucket.Stat(ctx, object.Key)
		if err != nil {
			panic(err)
		}
		fmt.Println(about.Key, about.Size, about.CRC32C, about.Metadata)
	}
	// Output:
	// refused: true
	// kadoa/team-1/wf_movies/2025-01-15T10-30-00Z-job_1/data.csv 27 9e6a0a96 map[x-kadoa-format:csv]
}
