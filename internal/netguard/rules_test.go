package netguard

import (
	"net/netip"
	"testing"
)

func TestForbidden(t *testing.T) {
	for address, want := range map[string]Rule{
		"8.8.8.8": "", "1.1.1.1": "", "93.184.216.34": "", "9.255.255.255": "", "11.0.0.0": "", "100.63.255.255": "", "100.128.0.0": "",
		"126.255.255.255": "", "128.0.0.0": "", "169.253.255.255": "", "169.255.0.0": "", "172.15.255.255": "", "172.32.0.0": "",
		"192.167.255.255": "", "192.169.0.0": "", "198.17.255.255": "", "198.20.0.0": "", "223.255.255.255": "", "168.63.129.15": "",
		"2606:4700::1": "", "2a00:1450:4001::1": "", "2001:4860::8888": "", "2001:200::1": "",
		"64:ff9b::8.8.8.8": "", // what a network without IPv4 makes of 8.8.8.8

		"127.0.0.1": RuleLoopback, "127.255.255.255": RuleLoopback, "::1": RuleLoopback,
		"0.0.0.0": RuleUnspecified, "0.1.2.3": RuleUnspecified, "::": RuleUnspecified,
		"10.0.0.0": RulePrivate, "10.255.255.255": RulePrivate, "172.16.0.0": RulePrivate, "172.31.255.255": RulePrivate,
		"192.168.0.0": RulePrivate, "192.168.255.255": RulePrivate, "fc00::1": RulePrivate, "fdff::1": RulePrivate, "fec0::1": RulePrivate,
		"100.64.0.0": RuleCarrierGrade, "100.127.255.255": RuleCarrierGrade,
		"169.254.0.1": RuleLinkLocal, "169.254.255.255": RuleLinkLocal, "fe80::1": RuleLinkLocal, "fe80::1%eth0": RuleLinkLocal, "febf::1": RuleLinkLocal,
		"169.254.169.254": RuleMetadata, "169.254.170.2": RuleMetadata, "fd00:ec2::254": RuleMetadata, "168.63.129.16": RuleMetadata, "100.100.100.200": RuleMetadata,
		"224.0.0.1": RuleMulticast, "239.255.255.255": RuleMulticast, "ff02::1": RuleMulticast, "ff0e::1": RuleMulticast,
		"255.255.255.255": RuleBroadcast, "240.0.0.1": RuleReserved, "192.0.0.1": RuleReserved,
		"192.0.2.1": RuleDocumentation, "198.51.100.1": RuleDocumentation, "203.0.113.1": RuleDocumentation, "2001:db8::1": RuleDocumentation, "3fff::1": RuleDocumentation,
		"198.18.0.1": RuleBenchmark, "198.19.255.255": RuleBenchmark, "2001:2::1": RuleBenchmark,

		"::ffff:127.0.0.1": RuleLoopback, "::ffff:10.0.0.1": RulePrivate, "::ffff:169.254.169.254": RuleMetadata, "::ffff:8.8.8.8": RuleMapped,
		"::127.0.0.1": RuleMapped, "::ffff:0:127.0.0.1": RuleMapped,
		"64:ff9b::127.0.0.1": RuleLoopback, "64:ff9b::10.0.0.1": RulePrivate, "64:ff9b::169.254.169.254": RuleMetadata,
		"64:ff9b:1::1": RuleTransition, "2002:7f00:1::": RuleTransition, "2002:808:808::": RuleTransition, "2001::1": RuleTransition, "192.88.99.1": RuleTransition,
		"4000::1": RuleReserved, "100::1": RuleReserved, "5f00::1": RuleReserved, "2001:10::1": RuleReserved,
	} {
		if got := forbidden(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: rule %q, want %q", address, got, want)
		}
	}
}

func TestEveryRangeIsRefusedFromFirstToLast(t *testing.T) {
	for _, r := range Rules() {
		first := r.Prefix.Masked().Addr()
		if first != r.Prefix.Addr() {
			t.Errorf("%s begins at %s", r.Prefix, first)
		}
		if forbidden(first) == "" || forbidden(last(r.Prefix)) == "" {
			t.Errorf("%s is not refused whole", r.Prefix)
		}
	}
}

func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

func TestAllowedAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		allow   string
		address string
		want    bool
	}{
		"within":                             {"10.1.0.0/16", "10.1.2.3", true},
		"beside":                             {"10.1.0.0/16", "10.2.2.3", false},
		"mapped":                             {"10.1.0.0/16", "::ffff:10.1.2.3", true},
		"through NAT64":                      {"10.1.0.0/16", "64:ff9b::10.1.2.3", true},
		"IPv6":                               {"fd12::/16", "fd12::1", true},
		"a host's bits are cut":              {"10.1.2.3/16", "10.1.9.9", true},
		"metadata within a wide one":         {"169.254.0.0/16", "169.254.169.254", false},
		"metadata within all":                {"0.0.0.0/0", "169.254.169.254", false},
		"metadata itself":                    {"169.254.169.254/32", "169.254.169.254", true},
		"metadata, mapped":                   {"0.0.0.0/0", "::ffff:169.254.169.254", false},
		"link-local beside the metadata":     {"169.254.0.0/16", "169.254.1.1", true},
		"a name allows no address by itself": {"localhost:443", "127.0.0.1", false},
	} {
		g, err := New(Options{Allow: []string{c.allow}})
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddr(c.address)
		if got := g.allowed.address(addr, forbidden(addr)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAllowEntries(t *testing.T) {
	_, err := New(Options{Allow: []string{"10.0.0.0/8", "10.0.0.1", "host", ":443", "host:", "https://host:443", "http://host:80", "[::1]:443"}})
	const want = `allow[1]: "10.0.0.1" is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port; ` +
		`allow[2]: "host" is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port; ` +
		`allow[3]: ":443" is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port; ` +
		`allow[4]: "host:" is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port; ` +
		`allow[5]: "https://host:443" is neither addresses such as 10.0.0.0/8 nor host:port nor http://host:port`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
