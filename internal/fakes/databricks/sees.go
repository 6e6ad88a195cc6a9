package databricks

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Seen is a table that a recipient can read.
type Seen struct {
	Share, Name string // Name as the recipient knows it: schema.table
	Location    string
	Version     int64
	History     bool
}

// Sees lists what a recipient can read, by share and name: what it was granted,
// and the share's owner can still read.
func (s *Server) Sees(recipient string) []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Seen
	if s.state.recipients[recipient] == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.state.shares)) {
		if !s.has(recipient, "share", name, "SELECT") {
			continue
		}
		for _, o := range s.objects(s.state.shares[name]) {
			if o.Status != "ACTIVE" {
				continue
			}
			location := s.state.tables[o.Name].Location
			if t, err := s.opts.Describe(location); err == nil {
				list = append(list, Seen{Share: name, Name: o.SharedAs, Location: location, Version: t.Version, History: o.History == "ENABLED"})
			}
		}
	}
	return list
}

// Opens reports whether the bearer token of a credential file opens what the
// recipient was granted, for a client at the given address.
func (s *Server) Opens(bearer, address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.state.recipients {
		s.expire(r)
		for _, t := range r.Tokens {
			if t.bearer == bearer && t.URL == "" {
				return r.admits(address)
			}
		}
	}
	return false
}

// admits: https://docs.databricks.com/delta-sharing/access-list.html
func (r *recipient) admits(address string) bool {
	if r.Addresses == nil || len(r.Addresses.Allowed) == 0 {
		return true
	}
	ip := netip.MustParseAddr(address)
	return slices.ContainsFunc(r.Addresses.Allowed, func(allowed string) bool {
		if prefix, err := netip.ParsePrefix(allowed); err == nil {
			return prefix.Contains(ip)
		}
		return allowed == ip.String()
	})
}

// Content lists everything that the workspace keeps, one line a thing, without
// times and tokens: two workspaces with equal content are in the same state.
func (s *Server) Content() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name, c := range s.state.schemas {
		list = append(list, "schema "+name+" at "+c.StorageRoot+" owner "+c.Owner+": "+c.Comment)
	}
	for name, t := range s.state.tables {
		columns := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			columns[i] = c.Name + " " + c.TypeText
		}
		list = append(list, "table "+name+" at "+t.Location+": "+strings.Join(columns, ", "))
	}
	for name, sh := range s.state.shares {
		list = append(list, "share "+name+" owner "+sh.Owner+": "+sh.Comment)
		for _, o := range s.objects(sh) {
			list = append(list, "share "+name+" has "+o.Name+" as "+o.SharedAs+" "+o.Status+" history "+o.History)
		}
	}
	for name, r := range s.state.recipients {
		var from []string
		if r.Addresses != nil {
			from = r.Addresses.Allowed
		}
		list = append(list, "recipient "+name+" "+r.Type+" "+r.Identifier+" from "+strings.Join(from, " ")+": "+r.Comment)
	}
	for securable, privileges := range s.state.privileges {
		for _, p := range privileges {
			list = append(list, "grant "+securable+" "+p)
		}
	}
	slices.Sort(list)
	return list
}
