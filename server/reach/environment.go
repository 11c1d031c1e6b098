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

// beforeVariable tells what variables were set to before they were made to lead to an emulator.
const beforeVariable = "GCP_METADATA_EMULATOR_BEFORE"

// replaced is a variable that was made to lead to an emulator.
type replaced struct {
	Sum uint32  `json:"sum"`           // of the value that it was given: with another one it is the caller's again
	Was *string `json:"was,omitempty"` // before; nil: it was not set
}

// Before is the environment as it was before variables were made to lead to an emulator. Those that
// have been changed since stay as they are.
func (e Environment) Before() Environment {
	before := maps.Clone(e)
	delete(before, beforeVariable)
	var record map[string]replaced
	_ = json.Unmarshal([]byte(e[beforeVariable]), &record) // where there is none, nothing was replaced
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

// Record is the variable from which Before learns what others replace in this environment.
func (e Environment) Record(variables []Variable) Variable {
	record := map[string]replaced{}
	for _, variable := range variables {
		one := replaced{Sum: checksum(variable.Value)}
		if was, isSet := e[variable.Name]; isSet {
			one.Was = &was
		}
		record[variable.Name] = one
	}
	encoded, _ := json.Marshal(record) //nolint:errchkjson // texts and numbers can be encoded
	return Variable{beforeVariable, string(encoded)}
}

func checksum(value string) uint32 { return crc32.ChecksumIEEE([]byte(value)) }
