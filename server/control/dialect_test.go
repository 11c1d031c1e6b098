package control_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Every error of the control plane is JSON, and each has a specific message.
func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	dialect := control.Dialect()
	for _, test := range []struct {
		err  error
		want googleapi.Error
	}{
		{googleapi.NotFound("no such thing"), googleapi.Error{Code: 404, Status: "NOT_FOUND", Message: "no such thing"}},
		{wire.ErrTooLarge, googleapi.Error{Code: 413, Status: "INVALID_ARGUMENT", Message: "the body is too large: the limit is 1 MiB, or 16 MiB for a fixture"}},
		{fmt.Errorf("%w: EOF", wire.ErrUnread), googleapi.Error{Code: 400, Status: "INVALID_ARGUMENT", Message: "the body ended too early"}},
		{wire.ErrStopping, googleapi.Error{Code: 503, Status: "UNAVAILABLE", Message: "the emulator is stopping"}},
		{wire.ErrInternal, googleapi.Error{Code: 500, Status: "INTERNAL", Message: "internal error; see the emulator's log"}},
		{errors.New("open /home/someone/key"), googleapi.Error{Code: 500, Status: "INTERNAL", Message: "internal error; see the emulator's log"}},
	} {
		response := dialect.Error(httptest.NewRequest(http.MethodPost, "/emulator/v1/reset", http.NoBody), test.err)
		var got struct {
			Error googleapi.Error `json:"error"`
		}
		if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
			t.Fatalf("%v is written as %s", test.err, response.Body)
		}
		if diff := cmp.Diff(test.want, got.Error); diff != "" || response.Status != test.want.Code || response.ContentType != googleapi.ContentType {
			t.Errorf("%v is written with %d %s (-want +got):\n%s", test.err, response.Status, response.ContentType, diff)
		}
	}
}
