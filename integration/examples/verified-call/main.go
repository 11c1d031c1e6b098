// Command verified-call calls a service with an ID token of its metadata server, and then with each
// token in its arguments. The service verifies each token. On Google Cloud the same program works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"google.golang.org/api/idtoken"
)

const audience = "https://service.example.com"

// caller returns the e-mail address of a caller whose token is valid.
func caller(r *http.Request) (string, error) {
	claims, err := idtoken.Validate(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), audience)
	if err != nil {
		return "", err
	}
	email, _ := claims.Claims["email"].(string)
	if claims.Issuer != "https://accounts.google.com" || email == "" { // Validate does not check them
		return "", errors.New("the token is not for an account of Google")
	}
	return email, nil
}

func serve(w http.ResponseWriter, r *http.Request) {
	email, err := caller(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	fmt.Fprintln(w, email)
}

func call(ctx context.Context, url, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	fmt.Print(response.StatusCode, " ", string(text))
	return err
}

func run(ctx context.Context) error {
	service := httptest.NewServer(http.HandlerFunc(serve))
	defer service.Close()
	source, err := idtoken.NewTokenSource(ctx, audience)
	if err != nil {
		return err
	}
	own, err := source.Token()
	if err != nil {
		return err
	}
	for _, token := range append([]string{own.AccessToken}, os.Args[1:]...) {
		if err := call(ctx, service.URL, token); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
