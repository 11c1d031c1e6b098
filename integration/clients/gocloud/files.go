package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/downscope"
	"golang.org/x/oauth2/google"
)

// fileReport holds the results of two libraries with a credential file: a token or an error.
type fileReport struct {
	Auth        accessToken `json:"auth"`
	AuthError   string      `json:"authError"`
	OAuth2      accessToken `json:"oauth2"`
	OAuth2Error string      `json:"oauth2Error"`
}

// fileTokens gets an access token with every credential file in a directory.
func fileTokens(ctx context.Context, folder string) (map[string]fileReport, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	reports := map[string]fileReport{}
	for _, file := range files {
		var report fileReport
		if report.Auth, err = authFileToken(ctx, file); err != nil {
			report.AuthError = err.Error()
		}
		if report.OAuth2, err = oauth2FileToken(ctx, file); err != nil {
			report.OAuth2Error = err.Error()
		}
		reports[strings.TrimSuffix(filepath.Base(file), ".json")] = report
	}
	return reports, nil
}

func authFileToken(ctx context.Context, file string) (accessToken, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return accessToken{}, err
	}
	var typed struct {
		Type credentials.CredType `json:"type"`
	}
	if err := json.Unmarshal(data, &typed); err != nil {
		return accessToken{}, err
	}
	if typed.Type == credentials.AuthorizedUser {
		return accessToken{}, errors.New("the library knows Google's token endpoint alone")
	}
	creds, err := credentials.NewCredentialsFromFile(typed.Type, file, &credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if err != nil {
		return accessToken{}, err
	}
	return authToken(ctx, creds)
}

func oauth2FileToken(ctx context.Context, file string) (accessToken, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return accessToken{}, err
	}
	var typed struct {
		Type google.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(data, &typed); err != nil {
		return accessToken{}, err
	}
	found, err := google.CredentialsFromJSONWithType(ctx, data, typed.Type, cloudPlatform)
	if err != nil {
		return accessToken{}, err
	}
	return oauth2Token(found.TokenSource)
}

// downscopedToken limits the metadata server's token to a single bucket.
func downscopedToken(ctx context.Context) (accessToken, error) {
	source, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{cloudPlatform}})
	if err != nil {
		return accessToken{}, err
	}
	target, err := url.Parse(emulator())
	if err != nil {
		return accessToken{}, err
	}
	creds, err := downscope.NewCredentials(&downscope.Options{
		Credentials: source,
		Client:      &http.Client{Transport: instead{target}}, // the host is compiled into the library
		Rules: []downscope.AccessBoundaryRule{{
			AvailableResource:    "//storage.googleapis.com/projects/_/buckets/some-bucket",
			AvailablePermissions: []string{"inRole:roles/storage.objectViewer"},
			Condition:            &downscope.AvailabilityCondition{Expression: "true", Title: "always"},
		}},
	})
	if err != nil {
		return accessToken{}, err
	}
	return authToken(ctx, creds)
}

// instead sends every request to a single server.
type instead struct{ server *url.URL }

func (i instead) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host = i.server.Scheme, i.server.Host
	return http.DefaultTransport.RoundTrip(request)
}
