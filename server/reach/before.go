package reach

import (
	"encoding/json"
	"hash/crc32"
	"maps"
	"strings"
)

// Environment is what variables are set to.
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

// BeforeVariable tells what variables were set to before they were made to lead to an emulator.
const BeforeVariable = "GCP_METADATA_EMULATOR_BEFORE"

// replaced is a variable that was made to lead to an emulator.
type replaced struct {
	Sum uint32  `json:"sum"`           // of the value that it was given: with another one it is the caller's again
	Was *string `json:"was,omitempty"` // before; nil: it was not set, or to what is not to be written down
}

// Before is the environment as it was before variables were made to lead to an emulator. Those that
// have been changed since stay as they are.
func (e Environment) Before() Environment {
	before := maps.Clone(e)
	delete(before, BeforeVariable)
	var record map[string]replaced
	_ = json.Unmarshal([]byte(e[BeforeVariable]), &record) // where there is none, nothing was replaced
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

// Record is the variable from which Before learns what others replace in this environment. It ends up
// in files, so that values with a user and a password are left out: to Before they were not set.
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

// hasUserinfo tells whether a value is a URL that names a user
// (https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1), or a proxy without a scheme that has a
// password. Passwords that are not escaped as they have to be count too. Java's options do not: what
// replaces them has the caller's in it anyway.
func hasUserinfo(value string) bool {
	at := strings.LastIndexByte(value, '@')
	if at < 0 || strings.HasPrefix(value, "-") {
		return false
	}
	before := value[:at]
	return strings.Contains(before, "://") || strings.Contains(before, ":") && !strings.ContainsAny(before, `/\`)
}

func checksum(value string) uint32 { return crc32.ChecksumIEEE([]byte(value)) }
