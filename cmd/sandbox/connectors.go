package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

var activityOn = true // of Snowflake it is off by default

// connectors are one of each kind, of the nth team.
func (s *sandbox) connectors(team string, n int) []connectors.Connector {
	return []connectors.Connector{
		{ID: fmt.Sprintf("sandbox-lake-%d", n), Team: team, Kind: waybill.KindStorage,
			Storage: &connectors.Storage{URL: fileURL(filepath.Join(s.dir, "bucket")), Formats: []string{"parquet", "jsonl", "csv"}}},
		{ID: snowflakeID(n), Team: team, Kind: waybill.KindSnowflake, ActivityLog: &activityOn, Snowflake: s.warehouse.customer(snowflakeID(n))},
		{ID: tablesID(n), Team: team, Kind: waybill.KindDeltaSharing, DeltaSharing: &connectors.DeltaSharing{}},
		{ID: fmt.Sprintf("sandbox-databricks-%d", n), Team: team, Kind: waybill.KindDatabricks, Databricks: &connectors.Databricks{
			Recipient: connectors.RecipientDatabricks, SharingIdentifier: fmt.Sprintf("aws:us-east-1:11111111-2222-4333-8444-%012d", n)}},
	}
}

func snowflakeID(n int) string { return fmt.Sprintf("sandbox-snowflake-%d", n) }

func tablesID(n int) string { return fmt.Sprintf("sandbox-tables-%d", n) }

// profile writes the .share profile of the nth team's tables. A folder that was
// used before has one already, whose token nobody knows any more.
func (s *sandbox) profile(ctx context.Context, n int) error {
	bearer, token, err := s.Tokens().Rotate(ctx, tablesID(n), 24*time.Hour, 0)
	if err != nil {
		return fmt.Errorf("make a profile: %w", err)
	}
	text, err := json.MarshalIndent(sharing.NewProfile(s.Config.Sharing.URL, bearer, token), "", "  ") //nolint:gosec // a profile is the token
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	name := "profile.share"
	if n > 1 {
		name = fmt.Sprintf("profile-%d.share", n)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o600); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	return nil
}
