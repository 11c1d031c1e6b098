package peers

import (
	"errors"
	"fmt"
	"net/url"
)

// Base reads the URL of a replica and returns it in canonical form. The URL has a host and nothing else:
// a path, a query or a fragment would change the question to the replica, and readers of the list of
// replicas would see a password. The error shows no password.
func Base(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it cannot be parsed: %w", unwrapped(err))
	}
	for _, part := range []struct {
		isWrong bool
		problem string
	}{
		{base.Scheme != "http" || base.Hostname() == "", "it is not of the form http://HOST:PORT"},
		{base.User != nil, "it has a user name or a password, which everybody would see who lists the replicas"},
		{base.Path != "" && base.Path != "/", "it has a path"},
		{base.RawQuery != "" || base.ForceQuery, "it has a query"},
		{base.Fragment != "", "it has a fragment"},
	} {
		if part.isWrong {
			return nil, errors.New(part.problem)
		}
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host}, nil
}
