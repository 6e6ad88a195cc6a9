package netguard

import (
	"fmt"
	"net/netip"
	"slices"
)

// Rule is why an address is refused.
type Rule string

// The rules.
const (
	RuleMetadata      Rule = "cloud metadata service"
	RuleUnspecified   Rule = "unspecified address"
	RuleLoopback      Rule = "loopback"
	RuleLinkLocal     Rule = "link-local network"
	RulePrivate       Rule = "private network"
	RuleCarrierGrade  Rule = "carrier-grade NAT"
	RuleMulticast     Rule = "multicast"
	RuleBroadcast     Rule = "broadcast"
	RuleDocumentation Rule = "documentation range"
	RuleBenchmark     Rule = "benchmark range"
	RuleReserved      Rule = "reserved range"
	RuleMapped        Rule = "IPv4 address within an IPv6 address"
	RuleTransition    Rule = "tunnel or translation range"
)

// Range is a range of addresses that a rule refuses.
type Range struct {
	Rule   Rule
	Prefix netip.Prefix
}

// Rules lists what is refused, the first match counts. It follows IANA's
// registries of special-purpose addresses:
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
func Rules() []Range { return slices.Clone(ranges) }

var ranges = []Range{
	// The services that hand a machine's credentials to whoever asks from it.
	{RuleMetadata, netip.MustParsePrefix("169.254.169.254/32")},   // AWS, Azure, GCP
	{RuleMetadata, netip.MustParsePrefix("169.254.170.2/32")},     // AWS, containers
	{RuleMetadata, netip.MustParsePrefix("169.254.170.23/32")},    // AWS, pods
	{RuleMetadata, netip.MustParsePrefix("fd00:ec2::254/128")},    // AWS
	{RuleMetadata, netip.MustParsePrefix("fd00:ec2::23/128")},     // AWS, pods
	{RuleMetadata, netip.MustParsePrefix("fd20:ce::254/128")},     // GCP
	{RuleMetadata, netip.MustParsePrefix("168.63.129.16/32")},     // Azure's host agent, in a public range
	{RuleMetadata, netip.MustParsePrefix("100.100.100.200/32")},   // Alibaba
	{RuleMetadata, netip.MustParsePrefix("192.0.0.192/32")},       // Oracle
	{RuleUnspecified, netip.MustParsePrefix("0.0.0.0/8")},         // RFC 791: Linux connects 0.0.0.0 to itself
	{RulePrivate, netip.MustParsePrefix("10.0.0.0/8")},            // RFC 1918
	{RuleCarrierGrade, netip.MustParsePrefix("100.64.0.0/10")},    // RFC 6598
	{RuleLoopback, netip.MustParsePrefix("127.0.0.0/8")},          // RFC 1122
	{RuleLinkLocal, netip.MustParsePrefix("169.254.0.0/16")},      // RFC 3927
	{RulePrivate, netip.MustParsePrefix("172.16.0.0/12")},         // RFC 1918
	{RuleReserved, netip.MustParsePrefix("192.0.0.0/24")},         // RFC 6890
	{RuleDocumentation, netip.MustParsePrefix("192.0.2.0/24")},    // RFC 5737
	{RuleTransition, netip.MustParsePrefix("192.88.99.0/24")},     // RFC 7526: relays of 6to4
	{RulePrivate, netip.MustParsePrefix("192.168.0.0/16")},        // RFC 1918
	{RuleBenchmark, netip.MustParsePrefix("198.18.0.0/15")},       // RFC 2544
	{RuleDocumentation, netip.MustParsePrefix("198.51.100.0/24")}, // RFC 5737
	{RuleDocumentation, netip.MustParsePrefix("203.0.113.0/24")},  // RFC 5737
	{RuleMulticast, netip.MustParsePrefix("224.0.0.0/4")},         // RFC 5771
	{RuleBroadcast, netip.MustParsePrefix("255.255.255.255/32")},  // RFC 8190
	{RuleReserved, netip.MustParsePrefix("240.0.0.0/4")},          // RFC 1112

	{RuleUnspecified, netip.MustParsePrefix("::/128")},          // RFC 4291
	{RuleLoopback, netip.MustParsePrefix("::1/128")},            // RFC 4291
	{RuleMapped, netip.MustParsePrefix("::ffff:0:0/96")},        // RFC 4291
	{RuleMapped, netip.MustParsePrefix("::/96")},                // RFC 4291: IPv4-compatible
	{RuleMapped, netip.MustParsePrefix("::ffff:0:0:0/96")},      // RFC 2765: IPv4-translated
	{RuleTransition, netip.MustParsePrefix("64:ff9b:1::/48")},   // RFC 8215: NAT64 of one network's own
	{RuleTransition, netip.MustParsePrefix("2001::/32")},        // RFC 4380: Teredo
	{RuleBenchmark, netip.MustParsePrefix("2001:2::/48")},       // RFC 5180
	{RuleDocumentation, netip.MustParsePrefix("2001:db8::/32")}, // RFC 3849
	{RuleReserved, netip.MustParsePrefix("2001::/23")},          // RFC 2928: protocol assignments
	{RuleTransition, netip.MustParsePrefix("2002::/16")},        // RFC 7526: 6to4
	{RuleDocumentation, netip.MustParsePrefix("3fff::/20")},     // RFC 9637
	{RulePrivate, netip.MustParsePrefix("fc00::/7")},            // RFC 4193
	{RuleLinkLocal, netip.MustParsePrefix("fe80::/10")},         // RFC 4291
	{RulePrivate, netip.MustParsePrefix("fec0::/10")},           // RFC 3879: site-local
	{RuleMulticast, netip.MustParsePrefix("ff00::/8")},          // RFC 4291
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // all of IPv6 that is routed
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: how a network without IPv4 reaches public IPv4
)

// forbidden returns the rule that refuses an address, or "".
func forbidden(addr netip.Addr) Rule {
	addr = addr.WithZone("")
	if nat64.Contains(addr) {
		return forbidden(lastFour(addr))
	}
	if inner := addr.Unmap(); inner != addr {
		// The address within says more than that it is mapped.
		if rule := forbidden(inner); rule != "" {
			return rule
		}
	}
	for _, r := range ranges {
		if r.Prefix.Contains(addr) {
			return r.Rule
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return RuleReserved
	}
	return ""
}

func lastFour(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// Refusal is the cause of a failure net.address_refused: who asks with
// errors.AsType learns which rule refused which address.
type Refusal struct {
	Rule    Rule
	Host    string // host:port as it was asked for
	Address netip.Addr
}

// Error is for the log: it tells where the host is.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%.300s is at %s, which is refused: %s", r.Host, r.Address, r.Rule)
}
