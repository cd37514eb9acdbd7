package main

import (
	"errors"
	"fmt"
	"os"

	"hairpin/credentials"
)

// secretsVariable names the environment variable with secrets, comma separated.
const secretsVariable = "HAIRPIN_SECRETS"

// secretFileHint tells how to make a secret file that is accepted.
const secretFileHint = "a secret file has one secret a line, newest first: (umask 077; openssl rand -base64 32 > secrets)"

// needSecrets returns the secrets of the file, or of the environment where no file is
// named. It warns on stderr of a file that others can read.
func needSecrets(d deps, file string) (*credentials.Secrets, error) {
	list, err := listSecrets(d, file)
	if err != nil {
		return nil, err
	}
	return credentials.NewSecrets(list...)
}

// listSecrets is needSecrets for those who need them one by one.
func listSecrets(d deps, file string) (list []credentials.Secret, err error) {
	switch {
	case file != "":
		list, err = readSecretFile(d, file)
	case d.getenv(secretsVariable) != "":
		if list, err = credentials.ParseSecretList(d.getenv(secretsVariable)); err != nil {
			err = usageError(fmt.Errorf("%s: %w", secretsVariable, err), secretHint(err))
		}
	default:
		err = usageError(errors.New("no secret given"), "name a file with --secret-file, or set "+secretsVariable+"; "+secretFileHint)
	}
	return list, err
}

func readSecretFile(d deps, name string) ([]credentials.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError(fmt.Errorf("cannot read the secrets: %w", err), secretFileHint)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && readableByOthers(info) {
		fmt.Fprintf(d.stderr, "hairpin: warning: others can read %s; chmod 600 mends it\n", oneLine(name))
	}
	secrets, err := credentials.ParseSecrets(f)
	if err != nil {
		return nil, usageError(fmt.Errorf("secret file %s: %w", oneLine(name), err), secretHint(err))
	}
	return secrets, nil
}

func secretHint(err error) string {
	switch {
	case errors.Is(err, credentials.ErrSecretTooShort), errors.Is(err, credentials.ErrSecretExample):
		return "whoever holds a credential can search for its secret offline; openssl rand -base64 32 makes a good one"
	case errors.Is(err, credentials.ErrSecretNotText):
		return "save the file as UTF-8; openssl rand -base64 32 makes a good secret"
	}
	return secretFileHint
}
