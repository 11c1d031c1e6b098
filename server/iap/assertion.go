package iap

import (
	"context"
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
)

// assertion describes a signed statement about a caller.
type assertion struct {
	who      iam.Principal
	audience string
	defect   token.Defect
}

// Tests returns the defects of the assertions with which the owner of a service tries whether the service
// checks them, by the type in the query (https://cloud.google.com/iap/docs/query-parameters-and-headers-howto).
func Tests() map[string]token.Defect {
	return map[string]token.Defect{
		"NOT_SET": token.NoDefect, "FUTURE_ISSUE": token.NotYetValid, "PAST_EXPIRATION": token.Expired,
		"ISSUER": token.WrongIssuer, "AUDIENCE": token.WrongAudience, "SIGNATURE": token.Tampered,
	}
}

// defectOf returns the defect for a type of test. An unknown type asks for a good assertion.
func defectOf(test string) token.Defect {
	if test == "" {
		return token.NoDefect
	}
	return Tests()[test]
}

// identity is the prefix of the names in the header fields that are not signed.
const identity = "accounts.google.com:"

// Identity returns the names of an authenticated caller, with or without access.
func (v Verdict) Identity() (email, subject string, ok bool) {
	isKnown := v.assertion != nil || v.Refusal != nil && v.Refusal.Reason.Code == reason.MissingRole
	return identity + v.Caller.Email, identity + v.Caller.ID, isKnown
}

// Fields returns the header fields that the proxy adds to an admitted request.
func (v Verdict) Fields(ctx context.Context, issuer *token.Issuer, at ingress.Door) ([]ingress.Field, error) {
	var fields []ingress.Field
	if a := v.assertion; a != nil {
		minted, err := issuer.Mint(ctx, at.World, token.Order{
			Kind: token.KindIAP, Principal: a.who, Audience: a.audience, Claims: a.claims(), Defect: a.defect,
		})
		if err != nil {
			return nil, fmt.Errorf("sign the assertion of Identity-Aware Proxy: %w", err)
		}
		fields = []ingress.Field{
			{Name: token.IAPHeader, Value: minted.Text},
			{Name: "X-Goog-Authenticated-User-Email", Value: identity + a.who.Email},
			{Name: "X-Goog-Authenticated-User-Id", Value: identity + a.who.ID},
		}
	}
	if !v.agent {
		return fields, nil
	}
	text, err := agentToken(ctx, issuer, at)
	return append(fields, at.SentOn(text)), err
}

// agentToken returns the ID token with which the proxy's service agent calls Cloud Run.
func agentToken(ctx context.Context, issuer *token.Issuer, at ingress.Door) (string, error) {
	agent := at.World.IAPAgent()
	identity := token.Claims{AuthorizedParty: agent.ID, Subject: agent.ID, Email: agent.Email}.Identity()
	issued, err := issuer.CachedID(ctx, identity, at.Service.Path(at.World.Project))
	if err != nil {
		return "", fmt.Errorf("issue an ID token for %q: %w", agent.Email, err)
	}
	return issued.Text, nil
}

// claims returns the claims of an assertion without the claims of every assertion. Only users of a
// hosted domain have the claim hd.
func (a assertion) claims() map[string]any {
	claims := map[string]any{"azp": a.audience, "identity_source": "GOOGLE"}
	_, domain, _ := strings.Cut(a.who.Email, "@")
	if a.who.Kind == iam.KindUser && domain != "gmail.com" && domain != "googlemail.com" {
		claims["hd"] = domain
	}
	return claims
}
