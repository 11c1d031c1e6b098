package purpose

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
)

// atDoor returns the decision at the door to a service.
func (j *Judge) atDoor(ctx context.Context, service, text string) Decision {
	decided := j.AtDoor(ctx, service, text)
	switch {
	case decided.Refusal != nil:
		why := decided.Refusal.Reason
		refused := Decision{Reason: why.Sentence, Hint: why.Hint}
		if why.Missing != nil {
			refused.Missing = new(journal.Missing(*why.Missing))
		}
		return refused
	case decided.Caller.Member() == "":
		return Decision{Anybody: true, Warnings: []string{fmt.Sprintf("service %q takes requests without a token, and with any", service)}}
	default:
		return Decision{}
	}
}

// atAPI returns the decision of an API. It does not ask for a permission, because each method needs
// another one.
func (j *Judge) atAPI(ctx context.Context, host string, q question) (Decision, error) {
	known := guard.API{Host: host}
	var warnings []string
	if at := slices.IndexFunc(j.APIs(q.world), func(one guard.API) bool { return one.Host == host }); at >= 0 {
		known = j.APIs(q.world)[at]
	} else {
		warnings = append(warnings, fmt.Sprintf("the emulator does not know the API %q, and so not its scopes", host))
	}
	refusal, err := j.Guard.Judge(ctx, q.text, known)
	if refusal == nil || err != nil {
		return Decision{Warnings: warnings}, err
	}
	return Decision{Reason: refusal.Reason, Hint: refusal.Hint, Warnings: warnings}, nil
}

// asOpenID returns the decision of a verifier that has only the published keys.
func (j *Judge) asOpenID(ctx context.Context, q question) (Decision, error) {
	err := j.Issuer.VerifyOpenID(ctx, q.world, q.text, q.audience)
	if err != nil {
		return refused(err, "send an ID token: gcp-metadata-emulator token id --audience "+orExample(q.audience))
	}
	decided := Decision{}
	if q.audience == "" {
		decided.Warnings = append(decided.Warnings, "the audience was not checked; name it with --audience, and check it in your service")
	}
	_, err = j.Issuer.Verify(ctx, q.world, q.text, token.Demand{AnyAudience: true})
	if refusal, ok := errors.AsType[*token.RefusedError](err); ok {
		decided.Warnings = append(decided.Warnings, "a verifier that only has the published keys cannot see that "+refusal.Reason)
		err = nil
	}
	return decided, err
}

// atProxy returns the decision about an assertion of Identity-Aware Proxy as an application makes
// it, and about any other token the decision of the proxy in front of a service.
func (j *Judge) atProxy(ctx context.Context, q question) (Decision, error) {
	if isAssertion(q.text) {
		_, err := j.Issuer.Verify(ctx, q.world, q.text, token.Demand{Audience: q.audience})
		return refused(err, "get an assertion: gcp-metadata-emulator token iap --audience /projects/NUMBER/apps/PROJECT")
	}
	decided := Decision{
		Reason: "no service of the fixture is behind Identity-Aware Proxy, which takes tokens only for the services that it guards",
		Hint:   "write authentication: iap into the ingress of an instance",
	}
	found := false
	for _, service := range q.world.Services() {
		if !iap.Guards(service) {
			continue
		}
		verdict := j.AtDoor(ctx, service.Name, q.text)
		if verdict.Refusal == nil {
			return j.atDoor(ctx, service.Name, q.text), nil
		}
		// A refusal for another reason than the audience comes from the service that the token is for.
		if !found || !isAboutAudience(verdict.Refusal.Reason.Code) {
			found, decided = true, j.atDoor(ctx, service.Name, q.text)
		}
	}
	return decided, nil
}

func isAboutAudience(code reason.Code) bool {
	return code == reason.WrongAudience || code == reason.WrongTarget
}

// refused returns the decision for an error of package token.
func refused(err error, hint string) (Decision, error) {
	if refusal, ok := errors.AsType[*token.RefusedError](err); ok {
		return Decision{Reason: refusal.Reason, Hint: hint}, nil
	}
	return Decision{}, err
}

func orExample(audience string) string {
	if audience == "" {
		return "https://service.example.com"
	}
	return audience
}
