package netguard

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/waybillhq/waybill"
)

// allowed is what the operator excepted from the rules.
type allowed struct {
	prefixes []netip.Prefix
	hosts    map[string]bool // host:port → whether plain http is allowed there
}

// parseAllow reads the entries of [Options.Allow].
func parseAllow(entries []string) (allowed, error) {
	a := allowed{hosts: map[string]bool{}}
	var p waybill.Problems
	for i, entry := range entries {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			a.prefixes = append(a.prefixes, prefix.Masked())
			continue
		}
		hostPort, plain := strings.CutPrefix(entry, "http://")
		host, port, err := net.SplitHostPort(hostPort)
		if err != nil || host == "" || port == "" {
			p.Addf(fmt.Sprintf("allow[%d]", i), "%.80q is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port", entry)
			continue
		}
		key := hostKey(host, port)
		a.hosts[key] = a.hosts[key] || plain
	}
	return a, p.Err()
}

func hostKey(host, port string) string {
	return net.JoinHostPort(strings.ToLower(host), port)
}

// address reports whether an address is excepted. A metadata service is only
// by its very own address: who allows 169.254.0.0/16 or 0.0.0.0/0 hardly means
// to hand out the machine's credentials.
func (a allowed) address(addr netip.Addr, rule Rule) bool {
	addr = addr.WithZone("")
	inner := addr.Unmap()
	if nat64.Contains(addr) {
		inner = lastFour(addr)
	}
	for _, p := range a.prefixes {
		if (p.Contains(addr) || p.Contains(inner)) && (rule != RuleMetadata || p.IsSingleIP()) {
			return true
		}
	}
	return false
}

// host reports whether host:port is excepted by name, whatever its address.
func (a allowed) host(hostPort string) bool {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	_, ok := a.hosts[hostKey(host, port)]
	return ok
}

func (a allowed) plain(u *url.URL) bool {
	return a.hosts[hostKey(u.Hostname(), portOf(u))]
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// origin is scheme, host and port: what a credential belongs to.
func origin(u *url.URL) string {
	return u.Scheme + "://" + hostKey(u.Hostname(), portOf(u))
}

// SameOrigin reports whether two URLs have scheme, host and port in common.
func SameOrigin(a, b *url.URL) bool { return origin(a) == origin(b) }
