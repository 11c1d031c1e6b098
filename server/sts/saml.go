package sts

import (
	"errors"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/sts/saml"
	"gcp-metadata-emulator/server/world"
)

// proveSAML verifies a SAML 2.0 response or assertion. Expressions see its subject and the lists of
// its attributes' values.
func (s *Server) proveSAML(provider *world.Provider, subject string) (proof, error) {
	assertion, err := saml.Read(subject, saml.Expectation{
		Trust: *provider.SAML, Now: s.now(), Skew: allowedSkew,
		IsAudience: func(audience string) bool { return isFor(provider, audience) },
	})
	if err != nil {
		return proof{}, oauthapi.NewError(oauthapi.InvalidGrant, refusedSAML(err)).Because("%v", err)
	}
	attributes := make(map[string]any, len(assertion.Attributes))
	for name, values := range assertion.Attributes {
		list := make([]any, len(values))
		for i, value := range values {
			list[i] = value
		}
		attributes[name] = list
	}
	return proof{map[string]any{"subject": assertion.Subject, "attributes": attributes}, assertion.Expires}, nil
}

// refusedSAML returns the description of a refusal, in words of ours.
func refusedSAML(err error) string {
	switch {
	case errors.Is(err, saml.ErrIssuer):
		return "The issuer in the SAML assertion does not match the expected one in config."
	case errors.Is(err, saml.ErrAudience):
		return "The audience in the SAML assertion does not match the expected audience."
	case errors.Is(err, saml.ErrTime):
		return "The SAML assertion is stale to sign-in."
	case errors.Is(err, saml.ErrSignature):
		return "Unable to verify the SAML assertion signature."
	default:
		return "Unable to parse the SAML assertion."
	}
}
