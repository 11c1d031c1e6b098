package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/idtoken"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	apiidtoken "google.golang.org/api/idtoken"
)

type accessToken struct {
	Value  string    `json:"value"`
	Type   string    `json:"type"`
	Expiry time.Time `json:"expiry"`
}

type accessReport struct {
	Auth           accessToken `json:"auth"`
	OAuth2         accessToken `json:"oauth2"`
	ProjectID      string      `json:"projectID"`
	UniverseDomain string      `json:"universeDomain"`
}

// identityReport holds the same ID token from two libraries, and the validator's results for the
// first.
type identityReport struct {
	Auth       string     `json:"auth"`
	API        string     `json:"api"`
	Validation validation `json:"validation"`
}

// validation holds the validator's result for a valid token, and its errors for others.
type validation struct {
	Issuer        string   `json:"issuer"`
	Audience      string   `json:"audience"`
	Subject       string   `json:"subject"`
	WrongAudience string   `json:"wrongAudience"`
	Tampered      []string `json:"tampered"`
}

type keyFileReport struct {
	Access   accessReport   `json:"access"`
	Identity identityReport `json:"identity"`
}

// accessTokens gets an access token from the metadata server with two libraries, which find the
// server without configuration.
func accessTokens(ctx context.Context) (accessReport, error) {
	creds, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if err != nil {
		return accessReport{}, err
	}
	found, err := google.FindDefaultCredentials(ctx, cloudPlatform)
	if err != nil {
		return accessReport{}, err
	}
	return describe(ctx, creds, found)
}

func describe(ctx context.Context, creds *auth.Credentials, found *google.Credentials) (report accessReport, err error) {
	if report.Auth, err = authToken(ctx, creds); err != nil {
		return report, fmt.Errorf("auth: %w", err)
	}
	if report.OAuth2, err = oauth2Token(found.TokenSource); err != nil {
		return report, fmt.Errorf("x/oauth2: %w", err)
	}
	if report.ProjectID, err = creds.ProjectID(ctx); err != nil {
		return report, fmt.Errorf("project: %w", err)
	}
	report.UniverseDomain, err = creds.UniverseDomain(ctx)
	return report, err
}

func authToken(ctx context.Context, creds *auth.Credentials) (accessToken, error) {
	token, err := creds.Token(ctx)
	if err != nil {
		return accessToken{}, err
	}
	return accessToken{Value: token.Value, Type: token.Type, Expiry: token.Expiry}, nil
}

func oauth2Token(source oauth2.TokenSource) (accessToken, error) {
	token, err := source.Token()
	if err != nil {
		return accessToken{}, err
	}
	return accessToken{Value: token.AccessToken, Type: token.Type(), Expiry: token.Expiry}, nil
}

// identityTokens gets an ID token from the metadata server.
func identityTokens(ctx context.Context, audience string) (identityReport, error) {
	creds, err := idtoken.NewCredentials(&idtoken.Options{Audience: audience})
	if err != nil {
		return identityReport{}, err
	}
	source, err := apiidtoken.NewTokenSource(ctx, audience)
	if err != nil {
		return identityReport{}, err
	}
	return identify(ctx, creds, source, audience)
}

func identify(ctx context.Context, creds *auth.Credentials, source oauth2.TokenSource, audience string) (report identityReport, err error) {
	first, err := creds.Token(ctx)
	if err != nil {
		return report, fmt.Errorf("auth: %w", err)
	}
	second, err := source.Token()
	if err != nil {
		return report, fmt.Errorf("api: %w", err)
	}
	report.Auth, report.API = first.Value, second.AccessToken
	report.Validation, err = validate(ctx, first.Value, audience)
	return report, err
}

// validate checks an ID token as a service does, with the emulator's certificates instead of
// Google's.
func validate(ctx context.Context, token, audience string) (validation, error) {
	validator, err := idtoken.NewValidator(&idtoken.ValidatorOptions{RS256CertsURL: emulator() + "/oauth2/v3/certs"})
	if err != nil {
		return validation{}, err
	}
	payload, err := validator.Validate(ctx, token, audience)
	if err != nil {
		return validation{}, err
	}
	report := validation{Issuer: payload.Issuer, Audience: payload.Audience, Subject: payload.Subject}
	if _, err = validator.Validate(ctx, token, "https://someone-else.example.com"); err == nil {
		return report, errors.New("a token for another audience was accepted")
	}
	report.WrongAudience = err.Error()
	altered, err := tamper(token)
	if err != nil {
		return report, err
	}
	for _, token := range altered {
		if _, err = validator.Validate(ctx, token, audience); err == nil {
			return report, fmt.Errorf("a tampered token was accepted: %s", token)
		}
		report.Tampered = append(report.Tampered, err.Error())
	}
	return report, nil
}

// keyFileTokens gets an access token and an ID token with a service account's key file.
func keyFileTokens(ctx context.Context, file, audience string) (report keyFileReport, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return report, err
	}
	creds, err := credentials.NewCredentialsFromFile(credentials.ServiceAccount, file, &credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if err != nil {
		return report, err
	}
	found, err := google.CredentialsFromJSONWithType(ctx, data, google.ServiceAccount, cloudPlatform)
	if err != nil {
		return report, err
	}
	if report.Access, err = describe(ctx, creds, found); err != nil {
		return report, err
	}
	identity, err := idtoken.NewCredentialsFromFile(credentials.ServiceAccount, file, &idtoken.Options{Audience: audience})
	if err != nil {
		return report, err
	}
	source, err := apiidtoken.NewTokenSource(ctx, audience, apiidtoken.WithAuthCredentialsFile(apiidtoken.ServiceAccount, file))
	if err != nil {
		return report, err
	}
	report.Identity, err = identify(ctx, identity, source, audience)
	return report, err
}

// impersonatedTokens gets access tokens of the target account with an impersonated_service_account
// file. The file's source is a key file.
func impersonatedTokens(ctx context.Context, keyFile, target string) (report accessReport, err error) {
	file := filepath.Join(filepath.Dir(keyFile), "impersonated.json")
	data, err := writeImpersonated(file, keyFile, target)
	if err != nil {
		return report, err
	}
	creds, err := credentials.NewCredentialsFromFile(credentials.ImpersonatedServiceAccount, file, &credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if err != nil {
		return report, err
	}
	found, err := google.CredentialsFromJSONWithType(ctx, data, google.ImpersonatedServiceAccount, cloudPlatform)
	if err != nil {
		return report, err
	}
	return describe(ctx, creds, found)
}

func writeImpersonated(file, keyFile, target string) ([]byte, error) {
	source, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]any{
		"type":               "impersonated_service_account",
		"source_credentials": json.RawMessage(source),
		"delegates":          []string{},
		"service_account_impersonation_url": emulator() + "/v1/projects/-/serviceAccounts/" + target +
			":generateAccessToken",
	})
	if err != nil {
		return nil, err
	}
	return data, os.WriteFile(file, data, 0o600)
}
