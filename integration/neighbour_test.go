package integration_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

const (
	readerAccount = "reader@demo-project.iam.gserviceaccount.com"
	nobodyAccount = "nobody@demo-project.iam.gserviceaccount.com"

	devstorage = "https://www.googleapis.com/auth/devstorage."

	photo = "holidays/one photo.txt" // the space shows whether signed paths keep their spelling
)

// newStorage starts an emulator of Cloud Storage, which accepts any credential, and an emulator that
// checks the requests to it. It also returns the address of the former.
func newStorage(t *testing.T, options ...servertest.Option) (emu *servertest.Emulator, unchecked string) {
	t.Helper()
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		Scheme: "http", Host: "127.0.0.1",
		InitialObjects: []fakestorage.Object{
			{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "photos", Name: photo}, Content: []byte("the photo")},
			{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "photos", Name: "secret"}, Content: []byte("a secret")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Stop)
	return servertest.New(t, append(options, servertest.YAML(`
project: {id: demo-project}
serviceAccounts: [{email: `+readerAccount+`}, {email: `+nobodyAccount+`}]
policies:
  - resource: project
    bindings: [{role: roles/storage.objectViewer, members: ["serviceAccount:`+readerAccount+`"]}]
neighbours: [{host: storage.googleapis.com, upstream: "`+fake.URL()+`"}]
`))...), fake.URL()
}

// storageClient returns a client of Cloud Storage. It sends a token of an account. If the account is
// empty, it sends no token.
func storageClient(t *testing.T, emu *servertest.Emulator, account, scope string, options ...option.ClientOption) *storage.Client {
	t.Helper()
	carrier := emu.Client()
	if account != "" {
		bearer := &oauth2.Token{AccessToken: emu.Mint(servertest.Order{Kind: token.KindAccess, Account: account, Scopes: []string{scope}})}
		carrier = &http.Client{Transport: &oauth2.Transport{Source: oauth2.StaticTokenSource(bearer), Base: carrier.Transport}}
	}
	client, err := storage.NewClient(t.Context(), append(options, option.WithHTTPClient(carrier), option.WithoutAuthentication())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // the test has ended, so nobody needs the error
	return client
}

// readPhoto reads an object, and checks that its content comes from the emulator of Cloud Storage.
func readPhoto(ctx context.Context, client *storage.Client) error {
	reader, err := client.Bucket("photos").Object(photo).NewReader(ctx)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(reader)
	if err == nil && string(content) != "the photo" {
		err = errors.New("the object's content is " + string(content))
	}
	return errors.Join(err, reader.Close())
}

func writePhoto(ctx context.Context, client *storage.Client) error {
	writer := client.Bucket("photos").Object("new").NewWriter(ctx)
	writer.ChunkSize = 0 // one request
	_, err := writer.Write([]byte("a new photo"))
	return errors.Join(err, writer.Close())
}

// Google's library for Cloud Storage meets the refusals that it would meet in the cloud, although
// the emulator of Cloud Storage accepts any credential.
func TestGoStorageNeighbour(t *testing.T) {
	t.Parallel()
	lenient, unchecked := newStorage(t)
	strict, _ := newStorage(t, servertest.Strict())
	if answer := download(t, http.DefaultClient, unchecked+"/storage/v1/b/photos/o/secret?alt=media"); answer.status != http.StatusOK || answer.body != "a secret" {
		t.Fatalf("without the check, a request without a token gets %+v", answer)
	}
	for name, test := range map[string]struct {
		emu            *servertest.Emulator
		account, scope string
		do             func(context.Context, *storage.Client) error
		want           int
	}{
		"read":                        {lenient, nobodyAccount, devstorage + "read_only", readPhoto, http.StatusOK},
		"read, other scope":           {lenient, nobodyAccount, "https://www.googleapis.com/auth/pubsub", readPhoto, http.StatusForbidden},
		"read, no token":              {lenient, "", "", readPhoto, http.StatusUnauthorized},
		"write":                       {lenient, nobodyAccount, devstorage + "read_write", writePhoto, http.StatusOK},
		"write, scope for reading":    {lenient, nobodyAccount, devstorage + "read_only", writePhoto, http.StatusForbidden},
		"strict: read":                {strict, readerAccount, devstorage + "read_only", readPhoto, http.StatusOK},
		"strict: read, no role":       {strict, nobodyAccount, devstorage + "read_only", readPhoto, http.StatusForbidden},
		"strict: read, other scope":   {strict, readerAccount, "https://www.googleapis.com/auth/pubsub", readPhoto, http.StatusForbidden},
		"strict: read, no token":      {strict, "", "", readPhoto, http.StatusUnauthorized},
		"strict: write, role to read": {strict, readerAccount, cloudPlatform, writePhoto, http.StatusForbidden},
	} {
		for api, options := range map[string][]option.ClientOption{"XML": nil, "JSON": {storage.WithJSONReads()}} {
			err := test.do(t.Context(), storageClient(t, test.emu, test.account, test.scope, options...))
			got := http.StatusOK
			if refusal, isRefused := errors.AsType[*googleapi.Error](err); isRefused {
				got = refusal.Code
			} else if err != nil {
				t.Errorf("%s (%s): %v", name, api, err)
			}
			if got != test.want {
				t.Errorf("%s (%s): %d, want %d: %v", name, api, got, test.want, err)
			}
		}
	}
}

// downloaded is an answer to a request for an object.
type downloaded struct {
	status int
	body   string
}

func download(t *testing.T, client *http.Client, url string) downloaded {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return downloaded{answer.StatusCode, string(body)}
}

// signPhoto signs a URL that lets its holder read an object for an hour, with the key file of an
// account.
func signPhoto(t *testing.T, emu *servertest.Emulator, account string) string {
	t.Helper()
	file, err := os.ReadFile(emu.CredentialsFile(t, "service-account", account))
	if err != nil {
		t.Fatal(err)
	}
	config, err := google.JWTConfigFromJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := storage.SignedURL("photos", photo, &storage.SignedURLOptions{
		GoogleAccessID: config.Email, PrivateKey: config.PrivateKey,
		Method: http.MethodGet, Scheme: storage.SigningSchemeV4, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestGoStorageNeighbourSignedURL(t *testing.T) {
	t.Parallel()
	lenient, _ := newStorage(t)
	strict, _ := newStorage(t, servertest.Strict(), servertest.OwnKeys())
	signed := signPhoto(t, lenient, readerAccount)
	for name, test := range map[string]struct {
		emu  *servertest.Emulator
		url  string
		want int
	}{
		"good":                   {lenient, signed, http.StatusOK},
		"another object":         {lenient, strings.Replace(signed, "holidays/one%20photo.txt", "secret", 1), http.StatusForbidden},
		"a longer life":          {lenient, strings.Replace(signed, "X-Goog-Expires=3", "X-Goog-Expires=4", 1), http.StatusForbidden},
		"another emulator's key": {lenient, signPhoto(t, strict, readerAccount), http.StatusForbidden},
		"another account":        {lenient, strings.Replace(signed, "reader%40", "nobody%40", 1), http.StatusForbidden},
		"strict: good":           {strict, signPhoto(t, strict, readerAccount), http.StatusOK},
		"strict: no role":        {strict, signPhoto(t, strict, nobodyAccount), http.StatusForbidden},
	} {
		if test.url == signed != (name == "good") {
			t.Errorf("%s: the URL is the good one", name)
		}
		got := download(t, test.emu.Client(), test.url)
		if got.status != test.want || (got.body == "the photo") != (test.want == http.StatusOK) {
			t.Errorf("%s: %+v, want %d", name, got, test.want)
		}
	}
	lenient.Advance(2 * time.Hour)
	if got := download(t, lenient.Client(), signed); got.status != http.StatusBadRequest {
		t.Errorf("after its lifetime: %+v", got)
	}
}
