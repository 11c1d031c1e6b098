package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// readJSON reads the body of a request into a value that has all the fields there may be.
func readJSON(r *http.Request, value any) error {
	body, err := wire.ReadBody(r)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(value)
	if err == nil {
		if _, extra := decoder.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("there is something after its end")
		}
	}
	if err != nil {
		return googleapi.InvalidArgument("the body cannot be read: " + jsonProblem(err))
	}
	return nil
}

// jsonProblem puts an error of encoding/json into words for people.
func jsonProblem(err error) string {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mismatch.Field == "" {
			return "it must be an object, not of type " + mismatch.Value
		}
		return fmt.Sprintf("%q cannot be of type %s", mismatch.Field, mismatch.Value)
	}
	if errors.Is(err, io.EOF) {
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
