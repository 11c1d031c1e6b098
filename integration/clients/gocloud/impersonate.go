package main

import (
	"context"

	"cloud.google.com/go/auth/credentials/externalaccount"
	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/auth/credentials/impersonate"
	apiimpersonate "google.golang.org/api/impersonate"
)

// packagesReport holds results from Google's addresses that are compiled into libraries.
type packagesReport struct {
	Impersonated    accessToken `json:"impersonated"`
	APIImpersonated accessToken `json:"apiImpersonated"`
	IDToken         string      `json:"idToken"`
	Audience        string      `json:"audience"` // as seen by the validator, with Google's keys
	Federated       string      `json:"federated"`
}

// packageTokens uses packages that accept or need no address.
func packageTokens(ctx context.Context, target, audience string) (report packagesReport, err error) {
	creds, err := impersonate.NewCredentials(&impersonate.CredentialsOptions{TargetPrincipal: target, Scopes: []string{cloudPlatform}})
	if err != nil {
		return report, err
	}
	if report.Impersonated, err = authToken(ctx, creds); err != nil {
		return report, err
	}
	source, err := apiimpersonate.CredentialsTokenSource(ctx, apiimpersonate.CredentialsConfig{TargetPrincipal: target, Scopes: []string{cloudPlatform}})
	if err != nil {
		return report, err
	}
	if report.APIImpersonated, err = oauth2Token(source); err != nil {
		return report, err
	}
	if err = impersonatedIdentity(ctx, target, audience, &report); err != nil {
		return report, err
	}
	report.Federated, err = federated(ctx)
	return report, err
}

func impersonatedIdentity(ctx context.Context, target, audience string, report *packagesReport) error {
	creds, err := impersonate.NewIDTokenCredentials(&impersonate.IDTokenOptions{Audience: audience, TargetPrincipal: target, IncludeEmail: true})
	if err != nil {
		return err
	}
	token, err := creds.Token(ctx)
	if err != nil {
		return err
	}
	report.IDToken = token.Value
	payload, err := idtoken.Validate(ctx, token.Value, audience)
	if err == nil {
		report.Audience = payload.Audience
	}
	return err
}

const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"

// ownIdentity uses this machine's ID token as subject token.
type ownIdentity struct{}

// SubjectToken implements externalaccount.SubjectTokenProvider.
func (ownIdentity) SubjectToken(ctx context.Context, _ *externalaccount.RequestOptions) (string, error) {
	creds, err := idtoken.NewCredentials(&idtoken.Options{Audience: "https:" + provider})
	if err != nil {
		return "", err
	}
	token, err := creds.Token(ctx)
	if err != nil {
		return "", err
	}
	return token.Value, nil
}

func federated(ctx context.Context) (string, error) {
	creds, err := externalaccount.NewCredentials(&externalaccount.Options{
		Audience: provider, SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
		Scopes: []string{cloudPlatform}, SubjectTokenProvider: ownIdentity{},
	})
	if err != nil {
		return "", err
	}
	token, err := creds.Token(ctx)
	if err != nil {
		return "", err
	}
	return token.Value, nil
}
