package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestSettingsThatMustAgreeAreComparedAndNoOther(t *testing.T) {
	a := Default()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		differ []string
	}{
		{"nothing", func(*Config) {}, nil},
		{"how it logs and where it finds Redis", func(c *Config) {
			c.Log.Level, c.Monitoring.Connectors, c.Redis.URL = "debug", []string{"acme"}, "redis://elsewhere:6379"
		}, nil},
		{"a limit and a time", func(c *Config) { c.Limits.MaxInFlight, c.Times.Sweep = 9, 1 }, []string{"limits.maxInFlight", "times.sweep"}},
		{"a list", func(c *Config) { c.Sources.Allow = []string{"s3://runs/{teamId}/"} }, []string{"sources.allow"}},
		{"tokens", func(c *Config) { c.Tokens = []Token{{Name: "ops", Scope: "ops"}} }, []string{"tokens"}},
		{"a bucket", func(c *Config) { c.Bucket.URL, c.Bucket.Region = "s3://other", "eu-central-1" }, []string{"bucket.region", "bucket.url"}},
	} {
		b := Default()
		tt.change(&b)
		was, is := a.Digests(), b.Digests()
		var differ []string
		for _, path := range slices.Sorted(maps.Keys(is)) {
			if was[path] != is[path] {
				differ = append(differ, path)
			}
		}
		if !slices.Equal(differ, tt.differ) {
			t.Errorf("%s: %v differ, want %v", tt.name, differ, tt.differ)
		}
		for path, digest := range is {
			if len(digest) != 16 || strings.Contains(digest, "/") {
				t.Errorf("%s: %q is no digest", path, digest)
			}
		}
	}
}
