package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// call sends a request to the control plane and returns the answer. A []byte is sent as it is,
// any other message as JSON, and nil as an empty body.
func (e *Emulator) call(method, path string, message any) ([]byte, error) {
	body, isText := message.([]byte)
	if message != nil && !isText {
		var err error
		if body, err = json.Marshal(message); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(context.Background(), method, e.URL+"/emulator/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := e.control.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(answer)
	}
	return answer, nil
}

// ask is call with a JSON answer, in which numbers keep their text.
func (e *Emulator) ask(method, path string, message, answer any) error {
	text, err := e.call(method, path, message)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(answer)
}

// refusal returns the error in the control plane's answer.
func refusal(answer []byte) error {
	var refused struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &refused); err != nil || refused.Error.Message == "" {
		return fmt.Errorf("the control plane answered %q", answer)
	}
	return errors.New(refused.Error.Message)
}
