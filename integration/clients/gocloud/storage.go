package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"cloud.google.com/go/storage"
)

// signedURL signs the URL of a Cloud Storage object with an account's system-managed key.
func signedURL(ctx context.Context, account string) (_ string, err error) {
	client, err := newIAMCredentialsClient(ctx, "grpc")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return storage.SignedURL("a-bucket", "a folder/an object", &storage.SignedURLOptions{
		GoogleAccessID: account,
		Method:         http.MethodGet,
		Scheme:         storage.SigningSchemeV4,
		Expires:        time.Now().Add(time.Hour), //nolint:forbidigo // a client uses the machine's clock
		SignBytes: func(payload []byte) ([]byte, error) {
			signed, err := client.SignBlob(ctx, &credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/" + account, Payload: payload})
			return signed.GetSignedBlob(), err
		},
	})
}
