package fleet

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/connectors/policies"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/storage"
)

// Check tries all that a delivery needs, and goes on after a failure: whoever
// mends the permissions should hear of all of them at once.
type Check struct {
	Us policies.Identity // who the customer's policies are to name

	Missing  []string // permissions
	Actions  []string // what to do about what failed, each once
	Warnings []string

	connector connectors.Connector
	path      string // template in effect
	brand     string
	out       io.Writer
	now       func() time.Time
	resolve   func(context.Context, secrets.Ref) (secrets.Secret, error)

	steps, failed int
	denied        bool
}

// NewCheck is a check of a connector as the fleet would use it. What it finds
// is written to out as well, a line for each step.
func (f *Fleet) NewCheck(c connectors.Connector, out io.Writer) *Check {
	return &Check{connector: c, path: probePath(c, f.Config.Brand),
		brand: f.Config.Brand, out: out, now: time.Now, resolve: secrets.NewResolver().Resolve}
}

// NewBucketCheck is a check of our own bucket, by a probe in a folder of it.
func (f *Fleet) NewBucketCheck(folder string) *Check {
	return &Check{connector: connectors.Connector{Storage: &connectors.Storage{URL: f.Config.Bucket.URL}}, path: folder, brand: f.Config.Brand, out: io.Discard}
}

// Run tries what the connector's kind needs.
func (c *Check) Run(ctx context.Context, f *Fleet) error {
	switch {
	case c.connector.Storage != nil:
		return c.Store(ctx, f.Store)
	case c.connector.Kind == waybill.KindSnowflake:
		return c.snowflake(ctx, f)
	}
	return c.tables(ctx, f)
}

// Where is the place that is checked.
func (c *Check) Where() string { return c.connector.Where() }

// Store tries the store that open opens.
func (c *Check) Store(ctx context.Context, open func(context.Context, connectors.Connector) (storage.Store, error)) error {
	c.sas(ctx)
	store, err := open(ctx, c.connector)
	if err != nil {
		c.try("open the store", "", func() error { return err })
	} else {
		c.probe(ctx, store)
	}
	if c.failed == 0 {
		return nil
	}
	if len(c.Missing) > 0 {
		fmt.Fprintf(c.out, "\nmissing: %s\n", strings.Join(c.Missing, ", "))
	}
	if c.denied {
		c.Policies(ctx)
	}
	return fmt.Errorf("%d of %d checks failed", c.failed, c.steps)
}

// try runs a step. Where it is refused, what the step needs is missing.
func (c *Check) try(what, step string, do func() error) {
	c.steps++
	err := do()
	if err == nil {
		fmt.Fprintf(c.out, "ok      %s\n", what)
		return
	}
	c.failed++
	mend := action(err)
	fmt.Fprintf(c.out, "failed  %s: %s\n", what, mend)
	if !slices.Contains(c.Actions, mend) {
		c.Actions = append(c.Actions, mend)
	}
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || !slices.Contains(refusals, f.Code) || c.connector.Storage == nil {
		return
	}
	c.denied = true
	if f.Code != accessDenied {
		return
	}
	for name := range strings.SplitSeq(policies.Missing(c.connector, step), ", ") {
		if name != "" && !slices.Contains(c.Missing, name) {
			c.Missing = append(c.Missing, name)
		}
	}
}

const accessDenied = "storage.access_denied"

// refusals are failures that the customer mends by allowing something. A
// bucket that is not there, or a clock that is wrong, is none.
var refusals = []string{accessDenied, "storage.role_refused", "storage.bad_credentials", "storage.no_credentials",
	"storage.unknown_access_key", "storage.expired_credentials", "storage.encryption_key"}

// probe writes one object and looks at it from all sides.
func (c *Check) probe(ctx context.Context, store storage.Store) {
	key := policies.ProbeKey(c.path)
	content := []byte("Waybill was here to see whether it can deliver; this object may be deleted.\n")
	options := storage.PutOptions{ContentType: "text/plain", Metadata: map[string]string{"x-" + c.brand + "-format": "probe"}}
	fmt.Fprintf(c.out, "%s%s\n", store.URL(), key)
	c.try("write", "write", func() error {
		_, err := store.Put(ctx, key, bytes.NewReader(content), options)
		return err
	})
	c.try("read metadata", "metadata", func() error {
		o, err := store.Stat(ctx, key)
		if name := "x-" + c.brand + "-format"; err == nil && o.Metadata[name] != "probe" {
			err = fmt.Errorf("the store did not keep the object's metadata %s", name)
		}
		return err
	})
	c.try("read back", "read", func() error { return readBack(ctx, store, key, content) })
	c.try("keep what is there from being overwritten", "condition", func() error {
		conditional := options
		conditional.IfAbsent = true
		_, err := store.Put(ctx, key, bytes.NewReader(content), conditional)
		switch {
		case errors.Is(err, storage.ErrPrecondition):
			return nil
		case err == nil:
			return errors.New("the store takes no notice of conditions, so that a late attempt could undo a newer one; use a store that knows If-None-Match")
		}
		return err
	})
	c.try("delete", "delete", func() error { return store.Delete(ctx, key) })
	c.try("be told what is not there", "absent", func() error {
		_, err := store.Stat(ctx, key+"-that-never-was")
		if errors.Is(err, storage.ErrNotExist) {
			return nil
		}
		return cmp.Or(err, errors.New("the store tells of an object that nobody wrote"))
	})
}

func readBack(ctx context.Context, store storage.Store, key string, want []byte) error {
	body, _, err := store.Get(ctx, key, storage.GetOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(io.LimitReader(body, int64(len(want))+1))
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("the store gave other bytes than were written")
	}
	return err
}

// sas looks at a shared access signature before it is used: it tells when it
// ends, which no answer of the store's does.
func (c *Check) sas(ctx context.Context) {
	if c.connector.Storage == nil || c.connector.Storage.Access.SAS.IsZero() {
		return
	}
	ref := c.connector.Storage.Access.SAS
	token, err := c.resolve(ctx, ref)
	if err != nil {
		return // opening the store tells it
	}
	for _, finding := range policies.CheckSAS(token.Reveal(), c.now()) {
		fmt.Fprintf(c.out, "%-7s %s\n", finding.Severity, finding.Text)
		if finding.Severity != policies.Failing {
			c.Warnings = append(c.Warnings, finding.Text)
			continue
		}
		c.steps, c.failed, c.denied = c.steps+1, c.failed+1, true
		c.Actions = append(c.Actions, finding.Text)
	}
}

// Policies prints what the customer must apply.
func (c *Check) Policies(ctx context.Context) {
	who := c.Us
	if ref := c.connector.Storage.Access.ServiceAccount; !ref.IsZero() {
		who.Google = cmp.Or(c.clientEmail(ctx, ref), "YOUR_SERVICE_ACCOUNT") // the customer's own
	}
	for _, s := range policies.For(c.connector, c.path, who) {
		fmt.Fprintf(c.out, "\n%s\n%s", s.Title, s.Text)
	}
}

// clientEmail is the account that a key file is of, or nothing. Of the file it
// is the one part that is not secret.
func (c *Check) clientEmail(ctx context.Context, ref secrets.Ref) string {
	text, err := c.resolve(ctx, ref)
	if err != nil {
		return ""
	}
	var key struct {
		ClientEmail string `json:"client_email"` //nolint:tagliatelle // Google's name
	}
	if json.Unmarshal([]byte(text.Reveal()), &key) != nil || !strings.HasSuffix(key.ClientEmail, ".gserviceaccount.com") || len(key.ClientEmail) > 256 {
		return ""
	}
	return key.ClientEmail
}

// action is the sentence of a failure, or the error's own words.
func action(err error) string {
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		return f.Action
	}
	return err.Error()
}
