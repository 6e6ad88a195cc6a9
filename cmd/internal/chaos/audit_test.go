package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
)

// expected are the deliveries of every run that was acknowledged.
func (w *world) expected() map[string]bool {
	list, err := readLines[acknowledged](w.path("acknowledged.log"))
	w.must(err)
	ids := map[string]bool{}
	for _, a := range list {
		ids[deliveryOf(a.RunKey)] = true
	}
	return ids
}

// audit waits until all that was acknowledged has arrived and the ledger says
// so, as long as that may take, and counts what the destination holds.
func (w *world) audit() report {
	w.Helper()
	expected := w.expected()
	w.await(w.patience(), func() bool {
		return w.arrived() >= len(expected) && len(w.list(w.Context(), waybill.StateComplete)) >= len(expected)
	})
	r := report{count: len(expected)}
	there := map[string]int{}
	if w.export {
		w.auditObjects(&r, there)
	} else {
		w.auditRows(&r, there)
	}
	complete := w.list(w.Context(), waybill.StateComplete)
	for id := range expected {
		if _, done := complete[id]; there[id] == 0 || !done {
			r.lost++
		}
	}
	return r
}

// auditRows counts what stands in the test's destination, by delivery.
func (w *world) auditRows(r *report, there map[string]int) {
	wrong := 0
	for _, l := range w.lanes() {
		for i, m := range l.Moves {
			if i > 0 && m.before(l.Moves[i-1]) {
				r.regressions++
			}
		}
		seen, newest := map[loaded]bool{}, ""
		for _, row := range l.Rows {
			newest = max(newest, row.Job) // jobs finished in the order of their names
			there[row.Delivery]++
			if seen[row] {
				r.doubled++
			}
			seen[row] = true
		}
		if l.Latest.Job != newest {
			wrong++
		}
	}
	r.zero("wrong LATEST", wrong)
}

// auditObjects holds every object in the customers' bucket against the manifest
// beside it: a file that none names, or that is not as it says, was doubled.
func (w *world) auditObjects(r *report, there map[string]int) {
	objects := w.objects()
	for name, content := range objects {
		if path.Base(name) != handlers.ManifestName {
			continue
		}
		var m handlers.Manifest
		w.must(json.Unmarshal(content, &m))
		delete(objects, name)
		whole := m.State == "complete"
		for _, file := range m.Files {
			key := path.Join(path.Dir(name), file.Name)
			sum := sha256.Sum256(objects[key])
			whole = whole && hex.EncodeToString(sum[:]) == file.SHA256
			delete(objects, key)
		}
		if whole {
			there[m.DeliveryID]++
		}
	}
	r.doubled += len(objects)
}

// objects is the content of the customers' bucket.
func (w *world) objects() map[string][]byte {
	objects := map[string][]byte{}
	root := os.DirFS(w.path("bucket"))
	w.must(fs.WalkDir(root, "kadoa", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			objects[name], err = fs.ReadFile(root, name)
		}
		return err
	}))
	return objects
}

// list is every delivery in a state.
func (w *world) list(ctx context.Context, state waybill.State) map[string]waybill.Delivery {
	w.Helper()
	all := map[string]waybill.Delivery{}
	f := ledger.Filter{State: state, Limit: 1000}
	for {
		page, err := w.fleet.Ledger.List(ctx, f)
		if err != nil {
			w.Logf("list: %v", err)
			return all
		}
		for _, d := range page.Deliveries {
			all[d.ID] = d
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return all
		}
	}
}

// runAgain counts the tasks that were finished and ran, or will run, once more.
func (w *world) runAgain() int {
	done := func() map[string]int {
		n := map[string]int{}
		for _, e := range w.attempts() {
			if e.What == "ended" && e.OK {
				n[e.Task]++
			}
		}
		return n
	}
	left := func() (n int) {
		finished := done()
		for _, info := range w.active() {
			if finished[info.ID] > 0 {
				n++
			}
		}
		return n
	}
	w.await(10*time.Second, func() bool { return left() == 0 })
	again := left()
	for _, n := range done() {
		again += n - 1
	}
	return again
}

// active are the tasks that asynq takes for being worked on.
func (w *world) active() []*asynq.TaskInfo {
	list, err := asynq.NewInspectorFromRedisClient(w.fleet.Redis).ListActiveTasks(tasks.QueueExport, asynq.PageSize(1000))
	if err != nil {
		w.Logf("active tasks: %v", err)
	}
	return list
}

// restarts are the times from each fall to the next attempt at what the fallen
// process had taken.
func (w *world) restarts(falls []fall) (times []time.Duration) {
	log := w.attempts()
	for _, f := range falls {
		open := map[string]bool{}
		for _, e := range log {
			switch {
			case e.PID == f.pid && (e.What == "taken" || e.What == "began"):
				open[e.Delivery] = true
			case e.PID == f.pid && e.What == "ended":
				delete(open, e.Delivery)
			}
		}
		for id := range open {
			i := slices.IndexFunc(log, func(e entry) bool { return e.Delivery == id && e.What == "began" && e.PID != f.pid && e.At.After(f.at) })
			if i >= 0 {
				times = append(times, log[i].At.Sub(f.at))
			}
		}
	}
	return times
}

// span is an attempt from its beginning to its end. That of a killed process
// ended with it.
type span struct {
	entry // its beginning
	end   time.Time
}

func spans(log []entry, falls []fall) (list []span) {
	type attempt struct {
		pid      int
		delivery string
		fence    int64
	}
	ended := map[attempt]time.Time{}
	for _, e := range log {
		if a := (attempt{e.PID, e.Delivery, e.Fence}); e.What == "worked" || e.What == "ended" && ended[a].IsZero() {
			ended[a] = e.At
		}
	}
	for _, b := range log {
		if b.What != "began" {
			continue
		}
		end, ok := ended[attempt{b.PID, b.Delivery, b.Fence}]
		if !ok {
			end = time.Now()
		}
		for _, f := range falls {
			if f.pid == b.PID && end.After(f.at) {
				end = f.at
			}
		}
		list = append(list, span{b, end})
	}
	return list
}

// overlap counts the pairs of attempts at work at once that share a key.
func overlap(log []entry, falls []fall, key func(entry) string) (n int) {
	byKey := map[string][]span{}
	for _, s := range spans(log, falls) {
		byKey[key(s.entry)] = append(byKey[key(s.entry)], s)
	}
	for _, list := range byKey {
		for i, a := range list {
			for _, b := range list[:i] {
				if a.At.Before(b.end) && b.At.Before(a.end) {
					n++
				}
			}
		}
	}
	return n
}

func ofDelivery(e entry) string { return e.Delivery }
func ofLane(e entry) string     { return e.Lane }
