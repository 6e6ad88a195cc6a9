// Package netguard makes the connections whose addresses somebody outside the
// fleet chose: sources over https, webhooks, custom endpoints of stores. It
// keeps them out of the network that the fleet runs in.
//
// # Addresses
//
// The address is checked in the dialer, after resolution and immediately
// before the connection is made. A name that resolves to a public address when
// it is looked at and to a private one when it is used (DNS rebinding) is
// therefore refused, and so is every way to write an address that only a
// resolver understands. What is refused and why stands in [Rules].
//
// # Requests
//
// Only https, at most three redirects, each checked like the first request.
// A URL with credentials in it is refused. Once a chain of redirects has left
// the origin of its first request, only the headers that say what is wanted
// travel on: no credentials, no key, no cookie, no Referer.
//
// # Proxies
//
// None is used, and HTTP_PROXY, HTTPS_PROXY and the like are ignored: a proxy
// resolves names itself, so that the check would see the proxy's address in
// place of the destination's. A network that lets traffic out only under watch
// does so in its routing or its firewall.
package netguard
