package cli_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// receiveTokens serves a service that verifies ID tokens in its own way, until it is killed. Its
// arguments are the file for its address, the URL of the published keys, and the way: "careful", "decodes",
// "any-audience" or "any-time".
func receiveTokens() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("%v", err)
	}
	audience := "http://" + listener.Addr().String()
	unfinished := os.Args[1] + ".new" // nobody must read half an address
	if err := errors.Join(os.WriteFile(unfinished, []byte(audience), 0o600), os.Rename(unfinished, os.Args[1])); err != nil {
		fail("%v", err)
	}
	verify := verifier(os.Args[2], os.Args[3], audience)
	fail("%v", http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || verify(text) != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})))
}

func verifier(certificates, way, audience string) func(text string) error {
	options := []jwt.ParserOption{jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("https://accounts.google.com")}
	if way != "any-audience" {
		options = append(options, jwt.WithAudience(audience))
	}
	if way != "any-time" {
		options = append(options, jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	} else {
		options = append(options, jwt.WithTimeFunc(func() time.Time { return time.Unix(0, 0) }))
	}
	parser := jwt.NewParser(options...)
	return func(text string) error {
		if way == "decodes" {
			_, _, err := parser.ParseUnverified(text, jwt.MapClaims{})
			return err
		}
		_, err := parser.Parse(text, func(t *jwt.Token) (any, error) { return published(certificates, t.Header["kid"]) })
		return err
	}
}

// published returns the published key with an ID.
func published(certificates string, id any) (any, error) {
	response, err := http.Get(certificates)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, err
	}
	name, _ := id.(string)
	if found := set.Key(name); len(found) == 1 {
		return found[0].Key, nil
	}
	return nil, errors.New("the key is not published")
}
