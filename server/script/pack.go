package script

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// Pack returns scripts in the small form in which the program carries them.
func Pack(scripts []Script) ([]byte, error) {
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(writer).Encode(scripts); err != nil {
		return nil, fmt.Errorf("pack scripts: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("pack scripts: %w", err)
	}
	return packed.Bytes(), nil
}

// Unpack returns the scripts that Pack has packed.
func Unpack(packed []byte) ([]Script, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack scripts: %w", err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("unpack scripts: %w", err)
	}
	var scripts []Script
	if err := json.Unmarshal(text, &scripts); err != nil {
		return nil, fmt.Errorf("unpack scripts: %w", err)
	}
	return scripts, nil
}
