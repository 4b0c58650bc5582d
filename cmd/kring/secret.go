package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// secret is a password or a key. However it is printed, formatted, logged or encoded, it
// is hiddenSecret. reveal is the one way to its value.
//
// Its text is the value itself, or file:PATH: then the value is what the file has, less
// one line end. Other users of the machine see command lines, so files are the better way.
//
// The value lies behind two pointers: fmt does not ask Format for unexported fields and
// for %p, and then it follows one.
type secret struct{ held *heldSecret }

type heldSecret struct {
	value *string
	file  string // PATH of file:PATH; "": the value was given itself
}

const (
	hiddenSecret = "[hidden]"
	// secretBytesMax bounds a secret's file: a key with a chain of certificates is less.
	secretBytesMax = 1 << 20
	secretFromFile = "file:"
)

// UnmarshalText reads a value or file:PATH. Its errors name the file, never its content.
func (s *secret) UnmarshalText(text []byte) error {
	path, fromFile := strings.CutPrefix(string(text), secretFromFile)
	if !fromFile {
		*s = secret{&heldSecret{value: new(string(text))}}
		return nil
	}
	value, err := readSecret(path)
	if err != nil {
		return err
	}
	*s = secret{&heldSecret{value: &value, file: path}}
	return nil
}

// reread reads the file again. On failure the secret stays as it was.
func (s *secret) reread() error {
	if s.file() == "" {
		return nil
	}
	value, err := readSecret(s.file())
	if err == nil {
		s.held = &heldSecret{value: &value, file: s.file()}
	}
	return err
}

func readSecret(path string) (string, error) {
	if err := notAPipe(path); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w; after file: give the path of a file that kring can read", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
	if err != nil {
		return "", fmt.Errorf("%w; after file: give the path of a file", err)
	}
	if len(text) > secretBytesMax {
		return "", fmt.Errorf("%s has more than %d bytes, too many for a secret", path, secretBytesMax)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty; write the secret into it", path)
	}
	return string(text), nil
}

// reveal returns the value. It must not go into a log line or an error.
func (s secret) reveal() string {
	if s.held == nil {
		return ""
	}
	return *s.held.value
}

// file is the PATH of file:PATH, "" if the value was given itself.
func (s secret) file() string {
	if s.held == nil {
		return ""
	}
	return s.held.file
}

// isSet says whether there is a value.
func (s secret) isSet() bool { return s.reveal() != "" }

func (s secret) String() string {
	if !s.isSet() {
		return ""
	}
	return hiddenSecret
}

// Format is fmt's, for every verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText is for encoders, JSON's too.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is slog's.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
