package hostname

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Pattern matches hosts: a single host, all names below a domain, all addresses of a range, or all hosts.
// The zero value matches no host.
type Pattern struct {
	name    string       // in the form of Of
	isBelow bool         // all names below name
	network netip.Prefix // all addresses in it, if it is valid; name is then its text
}

// anyHost is the text of the pattern that stands for all host names.
const anyHost = "*"

// below begins the text of a pattern for all names below a domain.
const below = anyHost + "."

// Any returns the pattern for all host names.
func Any() Pattern { return Pattern{name: anyHost} }

// IsAny reports whether a pattern stands for all host names.
func (p Pattern) IsAny() bool { return p.name == anyHost }

// Matches reports whether a pattern stands for a host, which is in the form of Of.
func (p Pattern) Matches(host string) bool {
	switch {
	case p.name == "":
		return false
	case p.network.IsValid():
		address, err := netip.ParseAddr(host)
		return err == nil && p.network.Contains(address.WithZone(""))
	case p.isBelow:
		return strings.HasSuffix(host, "."+p.name)
	default:
		return p.IsAny() || p.name == host
	}
}

// IsListed reports whether a pattern of a list matches a host, which is in the form of Of.
func IsListed(host string, patterns []Pattern) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Matches(host) })
}

// String returns the text from which UnmarshalText reads the pattern.
func (p Pattern) String() string {
	if p.isBelow {
		return below + p.name
	}
	return p.name
}

// UnmarshalText reads HOST, *.DOMAIN, a range of addresses in CIDR notation, or *. If a text stands for no
// host, or seems to mean something else, it refuses the text. A pattern therefore cannot match nothing, or
// everything, by accident.
func (p *Pattern) UnmarshalText(text []byte) error {
	name := strings.ToLower(string(text))
	if name == anyHost {
		*p = Pattern{name: anyHost}
		return nil
	}
	if network, err := netip.ParsePrefix(name); err == nil {
		read, err := ofNetwork(string(text), network)
		if err == nil {
			*p = read
		}
		return err
	}
	domain, isBelow := strings.CutPrefix(name, below)
	domain = strings.TrimSuffix(domain, ".")
	switch {
	case isBelow && isAddress(domain):
		return &PatternError{Text: string(text), hint: "no host is below an address: write " + domain}
	case !isHost(domain):
		return &PatternError{Text: string(text), hint: instead(domain)}
	}
	*p = Pattern{name: Of(domain), isBelow: isBelow}
	return nil
}

// ofNetwork returns the pattern for a range of addresses. It refuses a range if no host in the form of Of
// can be in it, and also the range of all addresses, because few people mean it.
func ofNetwork(text string, network netip.Prefix) (Pattern, error) {
	switch {
	case network.Addr().Is4In6():
		return Pattern{}, &PatternError{Text: text, hint: "write the range of IPv4 addresses, such as " + network.Addr().Unmap().String() + "/24"}
	case network.Bits() == 0:
		return Pattern{}, &PatternError{Text: text, hint: "write a narrower range, such as 10.0.0.0/8, or * for all hosts"}
	case network.Masked() != network:
		return Pattern{}, &PatternError{Text: text, hint: "write " + network.Masked().String() + " for the range, and " + network.Addr().String() + " for the address alone"}
	}
	return Pattern{name: network.String(), network: network}, nil
}

// PatternError describes a text that is not a pattern.
type PatternError struct{ Text, hint string }

// Error implements error.
func (e *PatternError) Error() string { return strconv.Quote(e.Text) + " is not a host" }

// Hint shows the right form.
func (e *PatternError) Hint() string { return e.hint }

// forms is the hint for a text that resembles no pattern.
const forms = "write example.com, *.example.com for the hosts below a domain, 10.4.0.0/16 for the addresses of a range, or * for all hosts"

// instead returns a hint if a text is not a host: it shows the right form.
func instead(text string) string {
	_, afterScheme, isURL := strings.Cut(text, "://")
	host, _, _ := strings.Cut(afterScheme, "/")
	bare := strings.TrimLeft(text, "*.")
	_, port, err := net.SplitHostPort(text)
	switch {
	case isURL && isHost(Of(host)):
		return "leave out the scheme and the path: write " + Of(host)
	case strings.HasPrefix(text, ".") && isName(bare):
		return "write *." + bare + " for the hosts below the domain, and " + bare + " for the domain itself"
	case strings.HasPrefix(text, anyHost) && isName(bare):
		return "an asterisk stands for whole labels at the start: write *." + bare
	case err == nil && isPort(port) && isHost(Of(text)):
		return "leave out the port: write " + Of(text)
	case !isASCII(text):
		return "write the name in ASCII, as programs send it: xn--…"
	default:
		return forms
	}
}

// isHost reports whether a text without a final dot can be a host. An IPv6 address may have brackets.
func isHost(text string) bool { return isName(text) || isAddress(text) }

func isAddress(text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return false
		}
	}
	address, err := netip.ParseAddr(text)
	return err == nil && !strings.ContainsAny(address.Zone(), "[]")
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(letter rune) bool { return letter > '~' })
}

// Limits of names in the DNS (RFC 1035, section 2.3.4), which also bound the names in a Host header.
const (
	longestName  = 253
	longestLabel = 63
)

// isName reports whether a text without a final dot can be a name in the DNS or in a container network. In
// container networks, names may have underscores. The last label of a name is not a number, so a misspelt
// IPv4 address is not a name.
func isName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if label == "" || len(label) > longestLabel || strings.Trim(label, letters) != "" {
			return false
		}
	}
	_, err := strconv.ParseUint(labels[len(labels)-1], 0, 64)
	return err != nil && len(text) <= longestName
}
