package javaoptions_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/reach/javaoptions"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"":                                nil,
		" \t\n":                           nil,
		"-Xmx1g  -Dx=y\n-Dz":              {"-Xmx1g", "-Dx=y", "-Dz"},
		`-Da='b c' -Dd="e f" "-Dg=h i"`:   {"-Da=b c", "-Dd=e f", "-Dg=h i"},
		`-Dj="'" -Dk='"'`:                 {"-Dj='", `-Dk="`},
		`-Dunclosed="a b`:                 {"-Dunclosed=a b"},
		`-Dtext=before'in side'behind -D`: {"-Dtext=beforein sidebehind", "-D"},
	} {
		if diff := cmp.Diff(want, javaoptions.Split(value)); diff != "" {
			t.Errorf("Split(%q) (-want +got):\n%s", value, diff)
		}
	}
}

// Split reads what Quote writes.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"-Xmx1g", "-Da=b c", "-Dj='", `-Dk="`, "-Dl=a\tb", "-Dm=a\nb"} {
		if diff := cmp.Diff([]string{option}, javaoptions.Split(javaoptions.Quote(option))); diff != "" {
			t.Errorf("an option that was quoted (-want +got):\n%s", diff)
		}
	}
}

func TestProperty(t *testing.T) {
	t.Parallel()
	options := []string{"-Da=1", "-Dab=2", "-Da=3", "-Dempty=", "-Dbare"}
	for property, want := range map[string]struct {
		value string
		given bool
	}{
		"-Da": {"3", true}, "-Dab": {"2", true}, "-Dempty": {"", true}, "-Dbare": {"", true}, "-Dabc": {"", false},
	} {
		if value, given := javaoptions.Property(options, property); value != want.value || given != want.given {
			t.Errorf("Property(%q) = %q, %v; want %q, %v", property, value, given, want.value, want.given)
		}
	}
}

func TestMatchesHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, host string
		want          bool
	}{
		{"localhost", "localhost", true},
		{"LOCALHOST", "localhost", true},
		{"localhost", "localhost.example.com", false},
		{"127.*", "127.0.0.1", true},
		{"127.*", "10.127.0.1", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "example.com", false},
		{"*example*", "an.example.com", true},
		{"*", "example.com", true},
		{"", "example.com", false},
		{"", "", false},
	} {
		if got := javaoptions.MatchesHost(test.host, test.pattern); got != test.want {
			t.Errorf("MatchesHost(%q, %q) = %v, want %v", test.host, test.pattern, got, test.want)
		}
	}
}
