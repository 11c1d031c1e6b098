package main

import (
	"context"
	"errors"
	"strings"
	"time"

	iamcredentials "cloud.google.com/go/iam/credentials/apiv1"
	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"github.com/googleapis/gax-go/v2/apierror"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	signedBlobPayload = "bytes that a client wants signed\x00\xff"
	signedJWTPayload  = `{"sub":"a-user","answer":42}`
)

type iamReport struct {
	AccessToken accessToken `json:"accessToken"`
	IDToken     string      `json:"idToken"`
	Blob        signedBlob  `json:"blob"`
	JWT         signedJWT   `json:"jwt"`
	Unknown     refusal     `json:"unknown"`
	Validation  validation  `json:"validation"`
}

type signedBlob struct {
	KeyID     string `json:"keyID"`
	Payload   []byte `json:"payload"`
	Signature []byte `json:"signature"`
}

type signedJWT struct {
	KeyID   string `json:"keyID"`
	Payload string `json:"payload"`
	Token   string `json:"token"`
}

// refusal describes the error of a refused call.
type refusal struct {
	HTTPCode int    `json:"httpCode"` // -1 with gRPC
	GRPCCode string `json:"grpcCode"`
	Error    string `json:"error"`
}

// callIAMCredentials calls each method of the IAM Credentials API as the metadata server's
// account. transport is rest or grpc, at the emulator's address, or proxied: gRPC with TLS, to
// the host that is compiled into the library.
func callIAMCredentials(ctx context.Context, transport, target, audience string) (report iamReport, err error) {
	client, err := newIAMCredentialsClient(ctx, transport)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	name := "projects/-/serviceAccounts/" + target
	if err = generateTokens(ctx, client, name, audience, &report); err != nil {
		return report, err
	}
	if err = sign(ctx, client, name, &report); err != nil {
		return report, err
	}
	if report.Validation, err = validate(ctx, report.IDToken, audience); err != nil {
		return report, err
	}
	report.Unknown, err = askForUnknown(ctx, client)
	return report, err
}

func newIAMCredentialsClient(ctx context.Context, transport string) (*iamcredentials.IamCredentialsClient, error) {
	switch transport {
	case "rest":
		return iamcredentials.NewIamCredentialsRESTClient(ctx, option.WithEndpoint(emulator()))
	case "proxied":
		return iamcredentials.NewIamCredentialsClient(ctx)
	}
	tokens, err := google.DefaultTokenSource(ctx, cloudPlatform)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(strings.TrimPrefix(emulator(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(clearText{tokens}))
	if err != nil {
		return nil, err
	}
	return iamcredentials.NewIamCredentialsClient(ctx, option.WithGRPCConn(conn))
}

// clearText allows bearer tokens on a connection without TLS, because the connection stays on
// this machine.
type clearText struct{ oauth2.TokenSource }

func (c clearText) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := c.Token()
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": token.Type() + " " + token.AccessToken}, nil
}

func (clearText) RequireTransportSecurity() bool { return false }

func generateTokens(ctx context.Context, client *iamcredentials.IamCredentialsClient, name, audience string, report *iamReport) error {
	access, err := client.GenerateAccessToken(ctx, &credentialspb.GenerateAccessTokenRequest{Name: name, Scope: []string{cloudPlatform}})
	if err != nil {
		return err
	}
	report.AccessToken = accessToken{Value: access.GetAccessToken(), Expiry: access.GetExpireTime().AsTime().In(time.UTC)}
	identity, err := client.GenerateIdToken(ctx, &credentialspb.GenerateIdTokenRequest{Name: name, Audience: audience, IncludeEmail: true})
	if err != nil {
		return err
	}
	report.IDToken = identity.GetToken()
	return nil
}

func sign(ctx context.Context, client *iamcredentials.IamCredentialsClient, name string, report *iamReport) error {
	blob, err := client.SignBlob(ctx, &credentialspb.SignBlobRequest{Name: name, Payload: []byte(signedBlobPayload)})
	if err != nil {
		return err
	}
	report.Blob = signedBlob{KeyID: blob.GetKeyId(), Payload: []byte(signedBlobPayload), Signature: blob.GetSignedBlob()}
	jwt, err := client.SignJwt(ctx, &credentialspb.SignJwtRequest{Name: name, Payload: signedJWTPayload})
	if err != nil {
		return err
	}
	report.JWT = signedJWT{KeyID: jwt.GetKeyId(), Payload: signedJWTPayload, Token: jwt.GetSignedJwt()}
	return nil
}

func askForUnknown(ctx context.Context, client *iamcredentials.IamCredentialsClient) (refusal, error) {
	_, err := client.GenerateAccessToken(ctx, &credentialspb.GenerateAccessTokenRequest{
		Name:  "projects/-/serviceAccounts/nobody@demo-project.iam.gserviceaccount.com",
		Scope: []string{cloudPlatform},
	})
	if err == nil {
		return refusal{}, errors.New("an account that does not exist was given a token")
	}
	if refused, ok := errors.AsType[*apierror.APIError](err); ok {
		return refusal{HTTPCode: refused.HTTPCode(), GRPCCode: refused.GRPCStatus().Code().String(), Error: refused.Error()}, nil
	}
	return refusal{}, err
}
