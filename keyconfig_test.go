package aedb

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestKeysAreWipedWhenAStoreIsClosed(t *testing.T) {
	given := bytes.Repeat([]byte{0xAB}, 32)
	cfg := DefaultConfig()
	cfg.FS = vfs.NewMem()
	cfg.Keys = KeyConfig{Ring: []Key{{ID: "k1", Secret: given}}, Encrypt: true}
	db, err := OpenNoAuth("store", cfg)
	require.NoError(t, err)
	ring := db.sealing.Ring
	_, err = ring.Tag("k1", keys.Manifest, keys.Salt{}, nil)
	require.NoError(t, err)
	require.Empty(t, db.Config().Keys, "the configuration of an open store holds no secret")
	require.NoError(t, db.Tune(func(t *Tuning) { t.Reads.MaxSnapshots = 7 }))

	require.NoError(t, db.Close(t.Context()))
	_, err = ring.Tag("k1", keys.Manifest, keys.Salt{}, nil)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, bytes.Repeat([]byte{0xAB}, 32), given, "the caller's copy is the caller's")
	require.NotContains(t, fmt.Sprintf("%+v", cfg.Keys), "171")
}

func TestStoreThatCannotBeOpenedHoldsNoKeys(t *testing.T) {
	cfg := DefaultConfig()
	cfg.FS = vfs.NewMem()
	cfg.Keys = KeyConfig{Ring: []Key{{ID: "k1", Secret: make([]byte, 32)}}, ExpectSeq: 1}
	_, err := OpenNoAuth("store", cfg)
	require.ErrorIs(t, err, ErrRecoveryIntegrity)
	cfg.Keys.ExpectSeq = 0
	db, err := OpenNoAuth("store", cfg)
	require.NoError(t, err, "the lock was let go")
	require.NoError(t, db.Close(t.Context()))
}
