package attack

import (
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/token"
)

// rule says whether a service may let a token in.
type rule int

const (
	mustEnter rule = iota
	mustNotEnter
	mayEnter // some verifiers let it in, among them libraries of Google
)

// attempt is a token to send.
type attempt struct {
	name, why string // why says what it means if the token is let in
	rule      rule

	order   Order
	literal *string // this text in place of a token
	again   bool    // the good token once more
}

// attempts returns the tokens to send to a service, the good one first.
func attempts(target Target) []attempt {
	kind := target.kind()
	ordered := func(order Order) Order {
		if order.Kind == "" {
			order.Kind = kind
		}
		if order.Kind != token.KindAccess && order.Audience == "" {
			order.Audience = target.Audience
		}
		return order
	}
	list := []attempt{
		{name: "good", rule: mustEnter, order: ordered(Order{})},
		{name: "no token", rule: mustNotEnter, literal: new(""), why: "everybody gets in"},
		{name: "not a token", rule: mustNotEnter, literal: new("a.b.c"), why: "any text gets in"},
	}
	for _, known := range defects() {
		if slices.Contains(kind.Defects(), known.defect) {
			list = append(list, attempt{name: string(known.defect), rule: known.rule, why: known.why, order: ordered(Order{Defect: known.defect})})
		}
	}
	for _, other := range others(target) {
		other.order = ordered(other.order)
		list = append(list, other)
	}
	return append(list, attempt{name: "replayed", rule: mayEnter, again: true, why: "a token can be used until it expires, unless the service remembers it"})
}

// judged is a defect, and the consequence if a service lets in a token with it.
type judged struct {
	defect token.Defect
	rule   rule
	why    string
}

// defects returns all defects. A token that may be let in is signed by the right key for the right audience.
func defects() []judged {
	const unchecked = "the signature is not checked"
	return []judged{
		{token.WrongAudience, mustNotEnter, "any other service that a caller calls can use the caller's token here"},
		{token.Expired, mustNotEnter, "a stolen token works for ever"},
		{token.JustExpired, mayEnter, "many libraries forgive some seconds or minutes"},
		{token.NotYetValid, mayEnter, "the service does not check iat and nbf, as Google's library for Go does not"},
		{token.WrongIssuer, mayEnter, "the service does not check iss, as Google's library for Go leaves to it"},
		{token.MissingEmail, mayEnter, "the service must not take the lack of an e-mail address for a caller"},
		{token.UnverifiedEmail, mayEnter, "the service must not decide by an e-mail address that is not verified"},
		{token.Revoked, mayEnter, "only the emulator knows that the token was revoked"},
		{token.UnknownKey, mustNotEnter, unchecked},
		{token.CopiedKeyID, mustNotEnter, "the signature is not checked: the key ID is enough"},
		{token.Tampered, mustNotEnter, unchecked},
		{token.NoSignature, mustNotEnter, unchecked},
		{token.AlgNone, mustNotEnter, "a token without a signature gets in"},
		{token.HMACPublicKey, mustNotEnter, "the header chooses the algorithm, so that the public key is a secret"},
		{token.EmbeddedKey, mustNotEnter, "the service takes the key from the token itself"},
		{token.KeyURL, mustNotEnter, unchecked},
		{token.CertificateURL, mustNotEnter, unchecked},
		{token.NoKeyID, mayEnter, "the service tries every key, as Google's library for Python does"},
		{token.CriticalHeader, mayEnter, "the service ignores crit, as Google's library for Go does"},
		{token.DuplicateClaims, mayEnter, "the service reads one of two claims, as most JSON parsers do"},
		{token.TrailingBytes, mayEnter, "the service reads a text that is not JSON, as Google's library for Java does"},
		{token.LastLetter, mayEnter, "the service takes two texts for one token, which matters if it remembers tokens"},
	}
}

// accessToken returns the attempt with an access token in place of the good token.
func accessToken(target Target) attempt {
	one := attempt{name: "access token", rule: mustNotEnter, order: Order{Kind: token.KindAccess}, why: "an access token says nothing about the service that it was sent to"}
	if strings.EqualFold(target.Header, "Proxy-Authorization") {
		one.rule, one.why = mayEnter, "Identity-Aware Proxy takes access tokens of service accounts"
	}
	return one
}

// longer returns another audience that begins like an audience. The host name of a URL is longer, because
// Cloud Run accepts its own URLs with every path.
func longer(audience string) string {
	const more = ".attacker.example"
	at, err := url.Parse(audience)
	if err != nil || at.Host == "" {
		return audience + more
	}
	return at.Scheme + "://" + at.Host + more + at.EscapedPath()
}

// others are the tokens that no defect makes.
func others(target Target) []attempt {
	list := []attempt{
		{name: "without expiry", rule: mayEnter, order: Order{Claims: map[string]any{"exp": nil}}, why: "a token without exp works for ever; Google issues none, and Google's library for Java takes them"},
		{name: "audience with more after it", rule: mustNotEnter, order: Order{Audience: longer(target.Audience)}, why: "the service compares only the beginning of the audience"},
		{name: "audience in a list", rule: mayEnter, order: Order{Claims: map[string]any{"aud": []string{target.Audience}}}, why: "RFC 7519 allows a list"},
		{
			name: "audience among others", rule: mayEnter, why: "RFC 7519 allows a list; Google issues tokens with one audience",
			order: Order{Claims: map[string]any{"aud": []string{token.WrongAudienceURL, target.Audience}}},
		},
		accessToken(target),
		{name: "self-signed", rule: mustNotEnter, order: Order{Kind: token.KindJWT}, why: "whoever has a key file of any service account gets in"},
	}
	if target.kind() == token.KindIAP {
		return append(list, attempt{name: "ID token", rule: mustNotEnter, order: Order{Kind: token.KindID}, why: "the caller went around Identity-Aware Proxy"})
	}
	return slices.Concat(list, []attempt{
		{name: "issuer in other case", rule: mayEnter, order: Order{Claims: map[string]any{"iss": "https://Accounts.Google.com"}}, why: "iss is case-sensitive; Google's library for Go does not check it"},
		{name: "issuer without scheme", rule: mayEnter, order: Order{Claims: map[string]any{"iss": "accounts.google.com"}}, why: "Google documents both forms"},
	})
}
