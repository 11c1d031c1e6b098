package journal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/wildcard"
)

// Filter selects exchanges. Empty fields match everything; names are patterns (see package
// wildcard).
type Filter struct {
	Route, Instance, Account, Audience string

	Status string    // "503", or "5xx" for every status from 500 to 599
	From   time.Time // by the emulator's clock
}

// Matches reports whether the filter selects e.
func (f Filter) Matches(e Exchange) bool {
	return wildcard.Match(f.Route, e.Route) && wildcard.Match(f.Instance, e.Instance) &&
		wildcard.Match(f.Account, e.Account) && wildcard.Match(f.Audience, e.Audience) &&
		f.matchesStatus(e.Status) && !e.Time.Before(f.From)
}

func (f Filter) matchesStatus(status int) bool {
	class, isClass := strings.CutSuffix(f.Status, "xx")
	if isClass {
		return class == strconv.Itoa(status/100)
	}
	return f.Status == "" || f.Status == strconv.Itoa(status)
}

// Expectation is an expected number of exchanges.
type Expectation struct {
	text         string
	fewest, most int
}

// ParseExpectation reads a number, optionally after "<", "<=", ">" or ">=".
func ParseExpectation(text string) (Expectation, error) {
	number := strings.TrimLeft(text, "<>=")
	comparison := strings.TrimSuffix(text, number)
	count, err := strconv.Atoi(number)
	expected := Expectation{text: strings.TrimSpace(comparison + " " + number), fewest: 0, most: math.MaxInt}
	switch comparison {
	case "":
		expected.fewest, expected.most = count, count
	case "<":
		expected.most = count - 1
	case "<=":
		expected.most = count
	case ">":
		expected.fewest = count + 1
	case ">=":
		expected.fewest = count
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || count < 0 || count == math.MaxInt {
		return Expectation{}, fmt.Errorf(`%q is not a number of requests: write 3, ">=1" or "<5"`, text)
	}
	return expected, nil
}

// Met reports whether every number from least to most meets the expectation.
func (e Expectation) Met(least, most int) bool { return e.fewest <= least && most <= e.most }

// Possible reports whether some number from least to most meets the expectation.
func (e Expectation) Possible(least, most int) bool { return e.fewest <= most && least <= e.most }

func (e Expectation) String() string { return e.text }
