package main

import (
	"context"
	"encoding/base64"
	"errors"

	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iam/v1"
	"google.golang.org/api/option"
)

// adminReport holds the results of a program that manages a service account.
type adminReport struct {
	Email    string      `json:"email"`
	UniqueID string      `json:"uniqueID"`
	Token    accessToken `json:"token"` // from a key file of the account
	Members  []string    `json:"members"`
	Stale    int         `json:"stale"` // HTTP status of a change with an outdated etag
	Deleted  int         `json:"deleted"`
}

// administer creates a service account, uses a key of it, sets its policy and deletes it.
func administer(ctx context.Context, accountID, member string) (report adminReport, err error) {
	service, err := iam.NewService(ctx, option.WithEndpoint(emulator()))
	if err != nil {
		return report, err
	}
	accounts := service.Projects.ServiceAccounts
	account, err := accounts.Create("projects/demo-project", &iam.CreateServiceAccountRequest{AccountId: accountID}).Context(ctx).Do()
	if err != nil {
		return report, err
	}
	report.Email, report.UniqueID = account.Email, account.UniqueId
	if report.Token, err = tokenOfNewKey(ctx, accounts, account.Name); err != nil {
		return report, err
	}
	policy, err := accounts.GetIamPolicy(account.Name).OptionsRequestedPolicyVersion(3).Context(ctx).Do()
	if err != nil {
		return report, err
	}
	policy.Bindings = append(policy.Bindings, &iam.Binding{Role: "roles/iam.serviceAccountTokenCreator", Members: []string{member}})
	set := &iam.SetIamPolicyRequest{Policy: policy}
	changed, err := accounts.SetIamPolicy(account.Name, set).Context(ctx).Do()
	if err != nil {
		return report, err
	}
	report.Members = changed.Bindings[0].Members
	_, err = accounts.SetIamPolicy(account.Name, set).Context(ctx).Do() // with the outdated etag
	if report.Stale, err = statusOf(err); err != nil {
		return report, err
	}
	if _, err = accounts.Delete(account.Name).Context(ctx).Do(); err != nil {
		return report, err
	}
	_, err = accounts.Get(account.Name).Context(ctx).Do()
	report.Deleted, err = statusOf(err)
	return report, err
}

func tokenOfNewKey(ctx context.Context, accounts *iam.ProjectsServiceAccountsService, name string) (accessToken, error) {
	key, err := accounts.Keys.Create(name, &iam.CreateServiceAccountKeyRequest{}).Context(ctx).Do()
	if err != nil {
		return accessToken{}, err
	}
	file, err := base64.StdEncoding.DecodeString(key.PrivateKeyData)
	if err != nil {
		return accessToken{}, err
	}
	config, err := google.JWTConfigFromJSON(file, cloudPlatform)
	if err != nil {
		return accessToken{}, err
	}
	token, err := config.TokenSource(ctx).Token()
	if err != nil {
		return accessToken{}, err
	}
	return accessToken{Value: token.AccessToken, Type: token.TokenType, Expiry: token.Expiry}, nil
}

// statusOf returns the HTTP status of a refused call.
func statusOf(err error) (int, error) {
	if refused, ok := errors.AsType[*googleapi.Error](err); ok {
		return refused.Code, nil
	}
	return 0, errors.Join(errors.New("a call was not refused"), err)
}
