package reach

import (
	"encoding/json"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// Environment holds the values of environment variables by their names.
type Environment map[string]string

// NewEnvironment reads entries of the form NAME=VALUE.
func NewEnvironment(entries []string) Environment {
	e := Environment{}
	for _, entry := range entries {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			e[name] = value
		}
	}
	return e
}

// BeforeVariable is the variable that records the values that exec and env replaced.
const BeforeVariable = "GCP_METADATA_EMULATOR_BEFORE"

// replaced records a variable that exec or env set.
type replaced struct {
	Sum uint32  `json:"sum"`           // checksum of the new value; if the variable has another value, the user has changed it since
	Was *string `json:"was,omitempty"` // previous value; nil: the variable was not set, or its value must not be recorded
}

// Before returns the environment as it was before exec or env set variables. Variables that have
// been changed since keep their values.
func (e Environment) Before() Environment {
	before := maps.Clone(e)
	delete(before, BeforeVariable)
	var record map[string]replaced
	_ = json.Unmarshal([]byte(e[BeforeVariable]), &record) // if there is no record, nothing was replaced
	for name, one := range record {
		if value, isSet := e[name]; !isSet || checksum(value) != one.Sum {
			continue
		}
		delete(before, name)
		if one.Was != nil {
			before[name] = *one.Was
		}
	}
	return before
}

// Undo returns the variables to set and the names to unset so that an environment is as it was before,
// sorted.
func (e Environment) Undo() (set []Variable, unset []string) {
	before := e.Before()
	for _, name := range slices.Sorted(maps.Keys(e)) {
		switch was, wasSet := before[name]; {
		case !wasSet:
			unset = append(unset, name)
		case was != e[name]:
			set = append(set, Variable{name, was})
		}
	}
	return set, unset
}

// Record returns the variable that tells Before the old values of the variables in this environment.
// It ends up in files, so it leaves out values with a user and a password: Before treats these
// variables as not set.
func (e Environment) Record(variables []Variable) Variable {
	record := map[string]replaced{}
	for _, variable := range variables {
		one := replaced{Sum: checksum(variable.Value)}
		if was, isSet := e[variable.Name]; isSet && !hasUserinfo(was) {
			one.Was = &was
		}
		record[variable.Name] = one
	}
	encoded, _ := json.Marshal(record) //nolint:errchkjson // texts and numbers can be encoded
	return Variable{BeforeVariable, string(encoded)}
}

// hasUserinfo reports whether a value is a URL with a user
// (https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1), or a proxy without a scheme but with a
// password, even if the password lacks the necessary escapes. Java's options do not count: their
// replacement includes the caller's options anyway.
func hasUserinfo(value string) bool {
	at := strings.LastIndexByte(value, '@')
	if at < 0 || strings.HasPrefix(value, "-") {
		return false
	}
	before := value[:at]
	return strings.Contains(before, "://") || strings.Contains(before, ":") && !strings.ContainsAny(before, `/\`)
}

func checksum(value string) uint32 { return crc32.ChecksumIEEE([]byte(value)) }
