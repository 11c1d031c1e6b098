package peers

import (
	"errors"
	"fmt"
	"net/url"
)

// Base reads the URL of a replica, which has a host and nothing else: a path, a query or a fragment would decide what
// the replica is asked for, and whoever lists the replicas would see a password. It returns the URL in one spelling.
// The error shows no password.
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
