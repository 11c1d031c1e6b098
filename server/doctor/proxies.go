package doctor

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/reach/javaoptions"
	"gcp-metadata-emulator/server/router/hostname"
)

// gcloudProxy is gcloud's property for the host of its proxy. Its proxy has no exceptions.
const gcloudProxy = "CLOUDSDK_PROXY_ADDRESS"

// byProxy returns the proxy that a client uses for a host and port. The finding is empty if it uses
// none.
func (s Surroundings) byProxy(c client, scheme, hostport string) Finding {
	names, host := c.proxies.plain, hostname.Of(hostport)
	if scheme == "https" {
		names = c.proxies.secure
	}
	if c.proxies.only != "" && s.Variable(c.proxies.only) == "" {
		return Finding{}
	}
	name, proxy, rule := s.firstProxy(names)
	if proxy == nil || name != gcloudProxy && (c.proxies.direct && hostname.IsLocalhost(host) || s.isExcepted(c.proxies, host)) {
		return Finding{}
	}
	found := Finding{Finds: FindsOther, At: proxy.Host, Because: rule}
	switch {
	case s.IsEmulator(proxy.Scheme, proxy.Host):
		found.Finds = FindsEmulator
	case name == gcloudProxy:
		found.Change = "unset CLOUDSDK_PROXY_TYPE CLOUDSDK_PROXY_ADDRESS CLOUDSDK_PROXY_PORT"
	case hostname.IsLocalhost(host) && c.proxies.except != javaoptions.NonProxyHosts:
		found.Change = "export NO_PROXY=" + host + " no_proxy=" + host
	}
	return found
}

// firstProxy returns the first proxy that is set, the name of its setting, and the rule.
func (s Surroundings) firstProxy(names string) (name string, proxy *url.URL, rule string) {
	for name := range strings.FieldsSeq(names) {
		value, by := s.setting(name)
		if value == "" {
			continue
		}
		if port, _ := s.setting(portOf(name)); port != "" {
			value = net.JoinHostPort(value, port)
		}
		if name == "-DsocksProxyHost" {
			value = "socks://" + value
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		parsed, err := url.Parse(value)
		if err != nil || parsed.Host == "" {
			return name, &url.URL{Host: value}, by
		}
		parsed.Host = withPort(parsed.Host, httpPort)
		return name, parsed, by
	}
	return "", nil, ""
}

// portOf returns the name of the setting for the port of a proxy, or "" if the setting for the host
// includes the port.
func portOf(name string) string {
	if name == gcloudProxy {
		return "CLOUDSDK_PROXY_PORT"
	}
	if property, isHost := strings.CutSuffix(name, "Host"); isHost {
		return property + "Port"
	}
	return ""
}

// isExcepted reports whether a client does not use its proxy for a host.
func (s Surroundings) isExcepted(p proxies, host string) bool {
	if p.except == javaoptions.NonProxyHosts {
		return s.isExceptedByJava(host)
	}
	list := ""
	for name := range strings.FieldsSeq(p.except) {
		if list = s.Variable(name); list != "" {
			break
		}
	}
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }), func(entry string) bool {
		return p.ways.excepts(host, entry)
	})
}

// excepts reports whether an entry of the list of hosts that need no proxy matches a host.
func (w ways) excepts(host, entry string) bool {
	if entry == "*" {
		return w&all != 0
	}
	if network, err := netip.ParsePrefix(entry); err == nil {
		address, err := netip.ParseAddr(host)
		return err == nil && w&networks != 0 && network.Contains(address)
	}
	if domain, isPattern := strings.CutPrefix(entry, "*"); isPattern {
		return w&asterisks != 0 && strings.HasPrefix(domain, ".") && strings.HasSuffix(host, strings.ToLower(domain))
	}
	domain, isDomain := strings.CutPrefix(entry, ".")
	domain = hostname.Of(domain)
	return host == domain && !isDomain || (isDomain || w&below != 0) && strings.HasSuffix(host, "."+domain)
}

// isExceptedByJava is isExcepted for Java. It excepts its own machine unless the property is set to an
// empty list.
func (s Surroundings) isExceptedByJava(host string) bool {
	list, by := s.setting(javaoptions.NonProxyHosts)
	if by == "" || list != "" {
		list += "|localhost|127.*|[::1]"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return slices.ContainsFunc(strings.Split(list, "|"), func(pattern string) bool { return javaoptions.MatchesHost(host, pattern) })
}
