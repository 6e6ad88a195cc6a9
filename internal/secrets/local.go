package secrets

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

type envProvider struct{ lookup func(string) (string, bool) }

var _ Provider = envProvider{}

func (p envProvider) Fetch(_ context.Context, name string) (string, error) {
	value, set := p.lookup(name)
	switch {
	case !set:
		return "", errors.New("the environment variable is not set")
	case value == "":
		return "", errors.New("the environment variable is empty")
	}
	return value, nil
}

// maxSecretBytes bounds a secret: a certificate chain with its key fits, and
// what the managers take does too.
const maxSecretBytes = 64 << 10

// fileProvider reads the file at each call. Mounted secrets are replaced
// through symbolic links, where time and size can stay the same; reading a few
// bytes costs less than being wrong.
type fileProvider struct{}

var _ Provider = fileProvider{}

func (fileProvider) Fetch(_ context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would block for ever
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	value, cut := strings.CutSuffix(string(text), "\r\n")
	if !cut {
		value = strings.TrimSuffix(value, "\n")
	}
	switch {
	case len(text) > maxSecretBytes:
		return "", tooLarge("the file")
	case value == "":
		return "", errors.New("the file is empty")
	}
	return value, nil
}
