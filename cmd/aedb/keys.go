package main

import (
	"encoding/hex"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/empyrealapp/aedb-go"
)

// keysVariable is the variable of the environment that holds keys, as lines of a key
// file do.
const keysVariable = "AEDB_KEYS"

// keyFlags are the flags for the keys of a store. No secret is ever an argument.
type keyFlags struct {
	files          []string
	encrypt, adopt bool
	expectSeq      uint64
}

func (f *keyFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.files, "key-file", nil,
		"file of keys, one \"id hex\" a line, or id=FILE for a file with one key in hex; the first key is the current one (also from "+keysVariable+")")
	flags.Uint64Var(&f.expectSeq, "expect-seq", 0, "refuse a store that ends below this commit")
}

// registerWriting adds the flags that only matter where something is written.
func (f *keyFlags) registerWriting(flags *pflag.FlagSet) {
	flags.BoolVar(&f.encrypt, "encrypt", false, "encrypt what is written; without it, it is authenticated")
	flags.BoolVar(&f.adopt, "adopt", false, "sign a store that was made without keys")
}

// config reads the keys.
func (f *keyFlags) config() (aedb.KeyConfig, error) {
	c := aedb.KeyConfig{Encrypt: f.encrypt, Adopt: f.adopt, ExpectSeq: f.expectSeq}
	for _, arg := range f.files {
		id, file, one := strings.Cut(arg, "=")
		if !one {
			file = arg
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return c, usagef("--key-file: %v", err)
		}
		if one {
			text = append([]byte(id+" "), text...)
		}
		if c.Ring, err = appendKeys(c.Ring, string(text)); err != nil {
			return c, usagef("--key-file %s: %v", file, err)
		}
	}
	var err error
	if c.Ring, err = appendKeys(c.Ring, os.Getenv(keysVariable)); err != nil {
		return c, usagef("%s: %v", keysVariable, err)
	}
	return c, nil
}

// appendKeys reads lines of an ID and a secret in hexadecimal. Errors do not repeat what
// stands there.
func appendKeys(ring []aedb.Key, text string) ([]aedb.Key, error) {
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, usagef("line %d is not an id and a key in hexadecimal", n+1)
		}
		secret, err := hex.DecodeString(fields[1])
		if err != nil {
			return nil, usagef("the key in line %d is not pairs of hexadecimal digits", n+1)
		}
		ring = append(ring, aedb.Key{ID: fields[0], Secret: secret})
	}
	return ring, nil
}
