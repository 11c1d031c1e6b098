package compare

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/script"
)

// check is a sequence of requests to one server, with the facts from the answers. Rules of the scripts
// name checks.
type check struct {
	name string
	run  func(ctx context.Context, s *script.Client) ([]fact, error)
}

// Checks returns the names of the checks that rules can name.
func Checks() []string {
	names := []string{"every-header", "every-listing", "every-value", "every-document"} // of all answers, and of the walk
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return append(names, writing().name, keyIDs, keyForms, ownKey, revokedToken, permissions, smallScope)
}

func checks() []check {
	return []check{
		{"etag-of-requests", etagOfRequests},
		{"etag-of-forms", etagOfForms},
		{"etag-of-recursive", etagOfRecursive},
		{"timeout", timeout},
		{"unnamed", unnamed},
		{"token-again", tokenAgain},
		{"identity-claims", identityClaims},
		{"identity-again", identityAgain},
	}
}

// check runs a check on both servers.
func (c *comparison) check(ctx context.Context, check check) error {
	c.at = "the check " + check.name
	theirs, err := check.run(ctx, c.real)
	switch {
	case isFinal(ctx, err):
		return c.named(err)
	case err != nil:
		c.found.add(Difference{Aspect: Silence, Request: c.at, Real: err.Error(), Emulated: "an answer"}, c.found.rulesOf(check.name))
		return nil //nolint:nilerr // the error is a difference
	}
	ours, err := check.run(ctx, c.emulated)
	if errors.Is(err, script.ErrLimit) {
		return err
	}
	if err != nil {
		return c.unemulated(err)
	}
	for _, d := range judgeFacts(Behaviour, theirs, ours) {
		d.Request = c.at
		c.found.add(d, c.found.rulesOf(check.name))
	}
	return nil
}

const (
	projectID = "/computeMetadata/v1/project/project-id"
	account   = "/computeMetadata/v1/instance/service-accounts/default/"
)

// etags asks for paths and returns their ETags.
func etags(ctx context.Context, s *script.Client, paths ...string) ([]string, error) {
	var tags []string
	for _, path := range paths {
		answer, err := s.Ask(ctx, script.Get(path))
		if err != nil {
			return nil, err
		}
		tag, _ := answer.Header("ETag")
		tags = append(tags, tag)
	}
	return tags, nil
}

// sameETag is a check whether two paths have the same ETag.
func sameETag(ctx context.Context, s *script.Client, about, one, other string) ([]fact, error) {
	tags, err := etags(ctx, s, one, other)
	if err != nil {
		return nil, err
	}
	is := "another ETag"
	switch {
	case tags[0] == "" && tags[1] == "":
		is = "no ETag"
	case tags[0] == tags[1]:
		is = "the same ETag"
	}
	return []fact{{about, is}}, nil
}

func etagOfRequests(ctx context.Context, s *script.Client) ([]fact, error) {
	return sameETag(ctx, s, "the same value again", projectID, projectID)
}

func etagOfForms(ctx context.Context, s *script.Client) ([]fact, error) {
	return sameETag(ctx, s, "a value as JSON", projectID, projectID+"?alt=json")
}

func etagOfRecursive(ctx context.Context, s *script.Client) ([]fact, error) {
	return sameETag(ctx, s, "a directory with recursive=true", "/computeMetadata/v1/project/", "/computeMetadata/v1/project/?recursive=true")
}

// timeout waits for a change that does not come.
func timeout(ctx context.Context, s *script.Client) ([]fact, error) {
	tags, err := etags(ctx, s, projectID)
	if err != nil || tags[0] == "" {
		return []fact{{"a wait", "there is no ETag to wait with"}}, err
	}
	began := s.Now()
	answer, err := s.Ask(ctx, script.Get(projectID+"?wait_for_change=true&timeout_sec=1&last_etag="+tags[0]))
	if err != nil {
		return nil, err
	}
	const nearly = 900 * time.Millisecond
	tag, _ := answer.Header("ETag")
	return []fact{
		{"a wait of a second", fmt.Sprintf("status %d", answer.Status)},
		{"a wait of a second ends", map[bool]string{true: "early", false: "not before its time"}[s.Now().Sub(began) < nearly]},
		{"the ETag after a wait", map[bool]string{true: "the same", false: "another one"}[tag == tags[0]]},
	}, nil
}

// unnamed looks for Google's name in the header of an answer.
func unnamed(ctx context.Context, s *script.Client) ([]fact, error) {
	answer, err := s.Ask(ctx, script.Get(projectID))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, field := range answer.Headers {
		if name, value := split(field); !strings.EqualFold(name, "Metadata-Flavor") && strings.Contains(strings.ToLower(value), "google") {
			names = append(names, name)
		}
	}
	return []fact{{"header fields that name Google", cmp.Or(strings.Join(names, ", "), "none but Metadata-Flavor")}}, nil
}

// tokenAgain asks for the token twice, more than a second apart.
func tokenAgain(ctx context.Context, s *script.Client) ([]fact, error) {
	var tokens []string
	var left []int64
	for i := range 2 {
		if i > 0 {
			if err := pause(ctx, 2*time.Second); err != nil {
				return nil, err
			}
		}
		answer, err := s.Ask(ctx, script.Get(account+"token"))
		if err != nil {
			return nil, err
		}
		var token struct {
			Token   string `json:"access_token"`
			Seconds int64  `json:"expires_in"`
		}
		_ = json.Unmarshal([]byte(answer.Body), &token)
		if answer.Status != http.StatusOK || token.Token == "" {
			return []fact{{"a second token", fmt.Sprintf("there is no first one: status %d", answer.Status)}}, nil
		}
		tokens, left = append(tokens, token.Token), append(left, token.Seconds)
	}
	facts := []fact{{"a second token", map[bool]string{true: "the same token", false: "another token"}[tokens[0] == tokens[1]]}}
	if tokens[0] == tokens[1] {
		facts = append(facts, fact{"expires_in of the same token", map[bool]string{true: "counts down", false: "stays"}[left[1] < left[0]]})
	}
	return facts, nil
}

// pause waits for a while.
func pause(ctx context.Context, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// identityClaims asks for ID tokens of each form.
func identityClaims(ctx context.Context, s *script.Client) ([]fact, error) {
	var facts []fact
	for _, form := range []string{"", "&format=standard", "&format=full", "&format=full&licenses=TRUE"} {
		answer, err := s.Ask(ctx, script.Get(account+"identity?audience="+url.QueryEscape("https://compare.example.com")+form))
		if err != nil {
			return nil, err
		}
		of := strings.TrimPrefix(form, "&")
		if answer.Status != http.StatusOK || !isIdentity(answer.Body) {
			facts = append(facts, fact{of + " identity", fmt.Sprintf("no JWT, status %d", answer.Status)})
			continue
		}
		for _, f := range identityFacts(answer.Body) {
			facts = append(facts, fact{strings.TrimSpace(of + " " + f.about), f.is})
		}
	}
	return facts, nil
}

// identityAgain asks for the same ID token twice.
func identityAgain(ctx context.Context, s *script.Client) ([]fact, error) {
	var tokens []script.Answer
	for range 2 {
		answer, err := s.Ask(ctx, script.Get(account+"identity?audience=https://again.example.com"))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, answer)
	}
	return []fact{{"the ID token for an audience again", map[bool]string{true: "the same token", false: "another token"}[tokens[0].Body == tokens[1].Body]}}, nil
}

// writing is the check that changes guest attributes, in a namespace of its own.
func writing() check {
	const path = "/computeMetadata/v1/instance/guest-attributes/compare-with-emulator/key"
	steps := []struct{ about, request string }{
		{"PUT of a guest attribute", "PUT " + path + "\nMetadata-Flavor: Google\n\nvalue\n"},
		{"GET of it", script.Get(path)},
		{"DELETE of it", "DELETE " + path + "\nMetadata-Flavor: Google\n\n"},
		{"GET after that", script.Get(path)},
	}
	return check{"guest-write", func(ctx context.Context, s *script.Client) ([]fact, error) {
		var facts []fact
		for _, step := range steps {
			answer, err := s.Ask(ctx, step.request)
			if err != nil {
				return nil, err
			}
			content := ""
			if answer.Status == http.StatusOK {
				content = fmt.Sprintf(", %q", answer.Body)
			}
			facts = append(facts, fact{step.about, fmt.Sprintf("status %d%s", answer.Status, content)})
		}
		return slices.Clip(facts), nil
	}}
}
