package sts

import (
	"cmp"
	"context"
	"errors"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/sts/awsrequest"
	"gcp-metadata-emulator/server/world"
)

// malformedAWS begins the text of Google's server for a request that it cannot read.
const malformedAWS = "Invalid format of AWS credentials: "

// proveAWS verifies a signed request for GetCallerIdentity. Its claims are AWS's answer.
func (s *Server) proveAWS(ctx context.Context, provider *world.Provider, subject string) (proof, error) {
	now := s.now()
	key, err := awsrequest.Caller(ctx, subject, awsrequest.Expectation{
		Target: world.IAMHost + provider.Name, Provider: *provider.AWS, Now: now,
	})
	if err == nil {
		claims := map[string]any{"account": key.Account(), "arn": key.ARN, "userid": cmp.Or(key.UserID, key.ID)}
		return proof{claims, now.Add(maxLifetime)}, nil
	}
	if errors.Is(err, awsrequest.ErrForm) {
		return proof{}, oauthapi.NewError(oauthapi.InvalidGrant, malformedAWS+err.Error()+".")
	}
	return proof{}, oauthapi.NewError(oauthapi.InvalidGrant, refusedAWS(err)).Because("%v", err)
}

// refusedAWS returns the description of a refusal. Google's server reveals as little of AWS's
// answer; the words are ours.
func refusedAWS(err error) string {
	switch {
	case errors.Is(err, awsrequest.ErrTarget):
		return "The x-goog-cloud-target-resource header of the AWS request does not match the audience."
	case errors.Is(err, awsrequest.ErrTime):
		return "The AWS request is expired."
	case errors.Is(err, awsrequest.ErrAccount):
		return "The AWS account does not match the one of the identity provider."
	default:
		return "Unable to verify the AWS request signature."
	}
}
