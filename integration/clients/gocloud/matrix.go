package main

import (
	"context"
	"fmt"
	"os"

	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2/google"
	apiidtoken "google.golang.org/api/idtoken"
	"google.golang.org/api/impersonate"
)

// ask is a request that a program may make to Google's servers.
type ask struct {
	keyFile, audience, target string
}

// matrix makes each request like a program that talks to Google's servers, without an address in
// code.
func matrix(ctx context.Context, a ask, wanted []string) (map[string]string, error) {
	got := map[string]string{}
	for _, name := range wanted {
		value, err := a.one(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		got[name] = value
	}
	return got, nil
}

func (a ask) one(ctx context.Context, name string) (string, error) {
	switch name {
	case "metadata":
		return metadata.ProjectIDWithContext(ctx)
	case "access":
		source, err := google.DefaultTokenSource(ctx, cloudPlatform)
		if err != nil {
			return "", err
		}
		token, err := oauth2Token(source)
		return token.Value, err
	case "identity":
		return a.identity(ctx)
	case "key":
		return a.exchange(ctx)
	case "impersonate":
		source, err := impersonate.CredentialsTokenSource(ctx, impersonate.CredentialsConfig{TargetPrincipal: a.target, Scopes: []string{cloudPlatform}})
		if err != nil {
			return "", err
		}
		token, err := oauth2Token(source)
		return token.Value, err
	case "verify":
		token, err := a.identity(ctx)
		if err != nil {
			return "", err
		}
		payload, err := idtoken.Validate(ctx, token, a.audience)
		if err != nil {
			return "", err
		}
		return payload.Subject, nil
	default:
		return "", fmt.Errorf("nothing is known of %q", name)
	}
}

func (a ask) identity(ctx context.Context) (string, error) {
	source, err := apiidtoken.NewTokenSource(ctx, a.audience)
	if err != nil {
		return "", err
	}
	token, err := source.Token()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (a ask) exchange(ctx context.Context) (string, error) {
	key, err := os.ReadFile(a.keyFile)
	if err != nil {
		return "", err
	}
	config, err := google.JWTConfigFromJSON(key, cloudPlatform)
	if err != nil {
		return "", err
	}
	token, err := oauth2Token(config.TokenSource(ctx))
	return token.Value, err
}
