package compare

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/script"
)

// fact is a statement about an answer or about several, in words.
type fact struct{ about, is string }

// judgeFacts compares facts about the same subject.
func judgeFacts(aspect Aspect, theirs, ours []fact) []Difference {
	var found []Difference
	about := func(name string) func(fact) bool { return func(f fact) bool { return f.about == name } }
	for _, f := range theirs {
		if i := slices.IndexFunc(ours, about(f.about)); i < 0 || ours[i].is != f.is {
			other := "nothing"
			if i >= 0 {
				other = ours[i].is
			}
			found = append(found, Difference{Aspect: aspect, Real: f.about + ": " + f.is, Emulated: f.about + ": " + other})
		}
	}
	for _, f := range ours {
		if !slices.ContainsFunc(theirs, about(f.about)) {
			found = append(found, Difference{Aspect: aspect, Real: f.about + ": nothing", Emulated: f.about + ": " + f.is})
		}
	}
	return found
}

// isToken reports whether an answer carries an access token.
func isToken(a script.Answer) bool {
	return a.Status == http.StatusOK && (strings.Contains(a.Body, `"access_token"`) || strings.HasPrefix(a.Body, "access_token "))
}

// isIdentity reports whether a body is a JWT.
func isIdentity(body string) bool {
	return regexp.MustCompile(`\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\s*\z`).MatchString(body)
}

// tokenFacts describes the body of an access token, without the token.
func tokenFacts(body string) []fact {
	var token, kind string
	var seconds json.Number
	if strings.HasPrefix(body, "{") {
		var members struct {
			Token   string      `json:"access_token"`
			Seconds json.Number `json:"expires_in"`
			Kind    string      `json:"token_type"`
		}
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			return []fact{{"token", "is not JSON with the members of a token"}} // the error may quote it
		}
		token, seconds, kind = members.Token, members.Seconds, members.Kind
	} else if _, err := fmt.Sscanf(body, "access_token %s\nexpires_in %s\ntoken_type %s", &token, &seconds, &kind); err != nil {
		return []fact{{"token", "is neither JSON nor lines with the members of a token"}}
	}
	if token == "" {
		return []fact{{"token", "is empty"}}
	}
	begins := "not as Google's tokens"
	if strings.HasPrefix(token, "ya29.") {
		begins = regexp.MustCompile(`\A(?:ya29\.)(?:[a-z]\.)?`).FindString(token)
	}
	frame := strings.NewReplacer(token, "TOKEN", seconds.String(), "SECONDS").Replace(body)
	return []fact{{"body", frame}, {"token", begins}, {"token_type", kind}, {"expires_in", lifetime(seconds)}}
}

// lifetime puts seconds in words. A metadata server keeps tokens, so that they differ.
func lifetime(seconds json.Number) string {
	const hour = 3600
	if n, err := seconds.Int64(); err == nil && n > 0 && n <= hour {
		return "up to an hour"
	}
	return seconds.String()
}

// identityFacts describes an ID token, without the parts that differ from token to token.
func identityFacts(jwt string) []fact {
	parts := strings.Split(strings.TrimSpace(jwt), ".")
	facts := []fact{{"space at the end", strconv.FormatBool(jwt != strings.TrimSpace(jwt))}}
	for i, part := range []string{"header", "claim"} {
		members, err := decoded(parts[i])
		if err != nil {
			return append(facts, fact{part, err.Error()})
		}
		facts = append(facts, membersFacts(part, members)...)
	}
	claims, _ := decoded(parts[1])
	issued, _ := claims["iat"].(json.Number)
	expires, _ := claims["exp"].(json.Number)
	from, _ := issued.Int64()
	to, _ := expires.Int64()
	return append(facts, fact{"lifetime", fmt.Sprintf("%d s", to-from)})
}

// decoded returns the members of a part of a JWT.
func decoded(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	return members, decoder.Decode(&members)
}

// membersFacts describes the members of an object: values that are the same for each token of an instance, and the form of others.
func membersFacts(place string, members map[string]any) []fact {
	var facts []fact
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := place + " " + name
		switch value := members[name].(type) {
		case map[string]any:
			facts = append(facts, membersFacts(at, value)...)
		case json.Number:
			facts = append(facts, fact{at, numberForm(name, value)})
		case string:
			facts = append(facts, fact{at, textForm(name, value)})
		default:
			facts = append(facts, fact{at, fmt.Sprint(value)})
		}
	}
	return facts
}

// numberForm returns a number of a token, or its form if the number is a time.
func numberForm(name string, value json.Number) string {
	if slices.Contains([]string{"iat", "exp", "nbf", "instance_creation_timestamp"}, name) {
		return fmt.Sprintf("a number of %d digits", len(value.String()))
	}
	return "the number " + value.String()
}

// textForm returns a text of a token, or its form if it differs from key to key and from account to
// account.
func textForm(name, value string) string {
	if slices.Contains([]string{"kid", "sub", "azp"}, name) {
		value = regexp.MustCompile(`\A[0-9]+\z`).ReplaceAllString(value, "decimal digits")
		return regexp.MustCompile(`\A[0-9a-f]{40}\z`).ReplaceAllString(value, "40 hexadecimal digits")
	}
	return value
}
