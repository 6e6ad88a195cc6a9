package main

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/config/durability"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/monitoring"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

const (
	checkTimeout   = 20 * time.Second // of one store or secret
	checksAtATime  = 8
	ourBucketProbe = "doctor/" // folder of the probe in our own bucket
)

// secrets resolves every reference of the configuration, and shows none.
func (d *doctor) secrets(ctx context.Context, cfg config.Config) {
	resolver := secrets.NewResolver()
	for _, r := range cfg.References() {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		secret, err := resolver.Resolve(ctx, r.Ref)
		cancel()
		switch {
		case err != nil:
			d.tellf(durability.Bad, "secret "+r.Path, "%v", err)
		case secret.Reveal() == "":
			d.tellf(durability.Bad, "secret "+r.Path, "%s is empty", r.Ref)
		default:
			d.tellf(durability.OK, "secret "+r.Path, "%s resolves", r.Ref)
		}
	}
}

// bucket tries our own bucket as a connector's would be tried. It returns nil
// if there is none.
func (d *doctor) bucket(ctx context.Context, f *fleet.Fleet) storage.Store {
	if f.Config.Bucket.URL == "" {
		return nil // the configuration's problem, told already
	}
	bucket, err := f.OwnBucket(ctx)
	c := f.NewBucketCheck(ourBucketProbe)
	d.checked(ctx, "our bucket", c, func(ctx context.Context) error {
		return c.Store(ctx, func(context.Context, connectors.Connector) (storage.Store, error) { return bucket, err })
	})
	return bucket
}

// checked runs a check of a store and tells what came of it.
func (d *doctor) checked(ctx context.Context, name string, c *fleet.Check, run func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := run(ctx)
	for _, warning := range c.Warnings {
		d.tellf(durability.Warn, name, "%s", warning)
	}
	switch {
	case err == nil:
		d.tellf(durability.OK, name, "%s: all that a delivery needs is there", c.Where())
	case len(c.Missing) > 0:
		d.tellf(durability.Bad, name, "%s; missing: %s", strings.Join(c.Actions, "; "), strings.Join(c.Missing, ", "))
	default:
		d.tellf(durability.Bad, name, "%s", strings.Join(c.Actions, "; "))
	}
}

func (d *doctor) redis(ctx context.Context, f *fleet.Fleet) {
	findings, err := f.ExamineRedis(ctx, true)
	if err != nil {
		d.tellf(durability.Bad, "redis", "%v", err)
	}
	d.findings = append(d.findings, findings...)
}

func (d *doctor) connectors(ctx context.Context, f *fleet.Fleet) {
	all, err := f.Connectors.List(ctx, "")
	if err != nil {
		d.tellf(durability.Bad, "connectors", "%v", err)
		return
	}
	told := make([]doctor, len(all))
	var group errgroup.Group
	group.SetLimit(checksAtATime)
	for i, c := range all {
		group.Go(func() error {
			check := f.NewCheck(c, io.Discard)
			told[i].checked(ctx, "connector "+c.ID, check, func(ctx context.Context) error { return check.Run(ctx, f) })
			return nil
		})
	}
	_ = group.Wait() // none returns an error: each is told
	for _, t := range told {
		d.findings = append(d.findings, t.findings...)
	}
}

// schedulers tells who decides, and whether all go by the same configuration.
func (d *doctor) schedulers(ctx context.Context, f *fleet.Fleet) {
	all, err := f.Ledger.Schedulers(ctx)
	switch what := fleet.SchedulersDiffer(all); {
	case err != nil:
		d.tellf(durability.Bad, "schedulers", "%v", err)
	case what != "":
		d.tellf(durability.Bad, "schedulers", "%s. %s", what, fleet.MendSchedulers)
	case len(all) == 0:
		d.tellf(durability.Warn, "schedulers", "none was alive in the last minute; start one: waybill scheduler")
	default:
		d.tellf(durability.OK, "schedulers", "%d alive, with one configuration", len(all))
	}
}

// queues holds the queues that Redis knows against those of this version, and
// against who serves them.
func (d *doctor) queues(f *fleet.Fleet) {
	pools, err := monitoring.Pools(f.Redis)
	if err != nil {
		d.tellf(durability.Bad, "queues", "%v", err)
		return
	}
	known := tasks.QueueNames()
	for _, name := range known {
		switch p := pools[name]; {
		case p.Processes > 0:
			d.tellf(durability.OK, "queue "+name, "%d handlers in %d pools; %d tasks wait", p.Handlers, p.Processes, p.Waiting)
		case p.Waiting > 0:
			d.tellf(durability.Bad, "queue "+name, "%d tasks wait and no worker serves it; start one: waybill worker --queues %s=8", p.Waiting, name)
		default:
			d.tellf(durability.Warn, "queue "+name, "no worker serves it; start one: waybill worker --queues %s=8", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		if p := pools[name]; !slices.Contains(known, name) && cmp.Or(p.Waiting, p.Processes) > 0 {
			d.tellf(durability.Warn, "queue "+name, "is unknown to this version; %d tasks wait there and %d pools of another version serve it", p.Waiting, p.Processes)
		}
	}
}
