package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	oauth2api "google.golang.org/api/oauth2/v2"
	"google.golang.org/api/option"
)

// userReport holds the tokens from a user's consent, from a refresh token and from a device code,
// and the answer of Google's userinfo API.
type userReport struct {
	Code      userTokens `json:"code"`
	Refreshed userTokens `json:"refreshed"`
	Device    userTokens `json:"device"`
	Userinfo  userinfo   `json:"userinfo"`
	Revoked   string     `json:"revoked"` // the error for a refresh token that was revoked
}

type userTokens struct {
	Access     accessToken `json:"access"`
	ID         string      `json:"id"`
	Scope      string      `json:"scope"`
	HasRefresh bool        `json:"hasRefresh"`
}

type userinfo struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

func describeUser(token *oauth2.Token) userTokens {
	id, _ := token.Extra("id_token").(string)
	scope, _ := token.Extra("scope").(string)
	return userTokens{
		Access: accessToken{Value: token.AccessToken, Type: token.Type(), Expiry: token.Expiry},
		ID:     id, Scope: scope, HasRefresh: token.RefreshToken != "",
	}
}

// signIn lets a user sign in with Google, as an application does.
func signIn(ctx context.Context, client, user string) (report userReport, err error) {
	config := &oauth2.Config{
		ClientID:     client,
		ClientSecret: "any",
		RedirectURL:  "http://localhost:8085/callback",
		Scopes:       []string{"openid", "email", "profile", cloudPlatform},
		Endpoint: oauth2.Endpoint{
			AuthURL:       emulator() + "/o/oauth2/v2/auth",
			DeviceAuthURL: emulator() + "/device/code",
			TokenURL:      emulator() + "/token",
		},
	}
	first, err := byCode(ctx, config, user)
	if err != nil {
		return report, fmt.Errorf("authorization code: %w", err)
	}
	report.Code = describeUser(first)
	refreshed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: first.RefreshToken}).Token()
	if err != nil {
		return report, fmt.Errorf("refresh: %w", err)
	}
	report.Refreshed = describeUser(refreshed)
	device, err := byDevice(ctx, config, user)
	if err != nil {
		return report, fmt.Errorf("device: %w", err)
	}
	report.Device = describeUser(device)
	if report.Userinfo, err = whoIs(ctx, config, refreshed); err != nil {
		return report, fmt.Errorf("userinfo: %w", err)
	}
	report.Revoked, err = revoke(ctx, config, first)
	return report, err
}

// byCode runs the authorization code flow with PKCE, without a browser.
func byCode(ctx context.Context, config *oauth2.Config, user string) (*oauth2.Token, error) {
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("the-state", oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("login_hint", user))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(request) // does not follow redirects
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	back, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	if state := back.Query().Get("state"); state != "the-state" {
		return nil, fmt.Errorf("the state is %q", state)
	}
	return config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
}

// byDevice runs the device flow. The user consents before the device's first poll.
func byDevice(ctx context.Context, config *oauth2.Config, user string) (*oauth2.Token, error) {
	asked, err := config.DeviceAuth(ctx)
	if err != nil {
		return nil, err
	}
	approval := url.Values{"user_code": {asked.UserCode}, "user": {user}}
	if err := post(ctx, asked.VerificationURI, approval); err != nil {
		return nil, err
	}
	return config.DeviceAccessToken(ctx, asked)
}

func post(ctx context.Context, address string, form url.Values) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("POST %s: %s", address, response.Status), response.Body.Close())
	}
	return response.Body.Close()
}

// whoIs asks Google's userinfo API for the signed-in user.
func whoIs(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (userinfo, error) {
	service, err := oauth2api.NewService(ctx, option.WithEndpoint(emulator()), option.WithTokenSource(config.TokenSource(ctx, token)))
	if err != nil {
		return userinfo{}, err
	}
	found, err := service.Userinfo.Get().Context(ctx).Do()
	if err != nil {
		return userinfo{}, err
	}
	return userinfo{ID: found.Id, Email: found.Email, Name: found.Name}, nil
}

// revoke revokes a refresh token, and returns the error that the token then gets.
func revoke(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (string, error) {
	if err := post(ctx, emulator()+"/revoke", url.Values{"token": {token.RefreshToken}}); err != nil {
		return "", err
	}
	expired := &oauth2.Token{RefreshToken: token.RefreshToken, Expiry: time.Unix(1, 0)}
	_, err := config.TokenSource(ctx, expired).Token()
	refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return "", fmt.Errorf("a revoked refresh token: %w", err)
	}
	return refusal.ErrorCode + ": " + refusal.ErrorDescription, nil
}
