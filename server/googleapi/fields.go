package googleapi

import (
	"time"
)

// Fields reads the fields of a message one after the other, and keeps the first error.
type Fields struct {
	Message Message
	Err     error
}

func read[T any](f *Fields, field string, get func(string) (T, error)) T {
	value, err := get(field)
	if f.Err == nil {
		f.Err = err
	}
	return value
}

// Text is Message.Text.
func (f *Fields) Text(field string) string { return read(f, field, f.Message.Text) }

// Texts is Message.Texts.
func (f *Fields) Texts(field string) []string { return read(f, field, f.Message.Texts) }

// Int32 is Message.Int32.
func (f *Fields) Int32(field string) int32 { return read(f, field, f.Message.Int32) }

// TextMap is Message.TextMap.
func (f *Fields) TextMap(field string) map[string]string { return read(f, field, f.Message.TextMap) }

// Bool is Message.Bool.
func (f *Fields) Bool(field string) bool { return read(f, field, f.Message.Bool) }

// Bytes is Message.Bytes.
func (f *Fields) Bytes(field string) []byte { return read(f, field, f.Message.Bytes) }

// Duration is Message.Duration.
func (f *Fields) Duration(field string) time.Duration { return read(f, field, f.Message.Duration) }
