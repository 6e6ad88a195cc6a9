package fleet

import (
	"context"

	"github.com/waybillhq/waybill/internal/config/durability"
	"github.com/waybillhq/waybill/tasks"
)

// Producer hands runs in as the configuration wants it, unless options say otherwise.
func (f *Fleet) Producer(options ...tasks.ClientOption) *tasks.Client {
	options = append([]tasks.ClientOption{tasks.WithReplicas(f.Config.Redis.Confirming())}, options...)
	return tasks.NewClient(f.Redis, f.bucket, options...)
}

// ExamineRedis looks at what Redis does with what it is given. An ACL user is
// not asked to read CONFIG, which would show it passwords too, and whose
// refusal would stand in Redis's log at each start, unless askConfig insists.
func (f *Fleet) ExamineRedis(ctx context.Context, askConfig bool) ([]durability.Finding, error) {
	servers, err := durability.Ask(ctx, f.Redis, askConfig || !f.Config.Redis.HasUser())
	if err != nil {
		return nil, err
	}
	var findings []durability.Finding
	for _, s := range servers {
		findings = append(findings, s.Findings(f.Config.Redis.Confirming(), f.Config.Redis.AllowUnsafe)...)
	}
	return findings, nil
}

// RequireSafeRedis refuses a Redis that may lose what it is given, and logs
// what could be better.
func (f *Fleet) RequireSafeRedis(ctx context.Context) error {
	findings, err := f.ExamineRedis(ctx, false)
	if err != nil {
		return err
	}
	for _, finding := range findings {
		if finding.Level != durability.OK {
			f.Log.WarnContext(ctx, "Redis could be safer", "component", "redis", "found", finding.Level, "check", finding.Check, "text", finding.Text)
		}
	}
	return durability.Require(findings)
}
