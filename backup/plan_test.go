package backup

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
)

func imageAt(seq uint64, micros int64) *state.Image {
	w := state.NewWorking()
	w.Begin(seq, micros)
	return w.Freeze()
}

// fullAt writes a full backup of a store as it was at a commit.
func fullAt(t *testing.T, s *Memory, created, micros int64, seq uint64) Manifest {
	t.Helper()
	origin := Origin{Incarnation: manifest.Incarnation{1}, KeyEncoding: 1, NowMicros: created}
	m, err := WriteFull(context.Background(), s, origin, imageAt(seq, micros), nil, Options{})
	require.NoError(t, err)
	return m
}

func spoil(t *testing.T, s *Memory, name string) {
	t.Helper()
	ctx := context.Background()
	in, err := s.Get(ctx, name)
	require.NoError(t, err)
	data, err := io.ReadAll(in)
	require.NoError(t, err)
	data[20] ^= 1
	require.NoError(t, s.Delete(ctx, name))
	require.NoError(t, s.Put(ctx, name, bytes.NewReader(data)))
}

func TestTimeBetweenTwoChainsIsRefusedAndNotTakenForTheEndOfTheFirst(t *testing.T) {
	ctx := context.Background()
	var s Memory
	first := fullAt(t, &s, 1, 10, 10)
	fullAt(t, &s, 2, 50, 50)
	for at, want := range map[int64]uint64{50: 50, 70: 50} {
		p, err := MakePlan(ctx, &s, Target{Time: time.UnixMicro(at)}, Options{})
		require.NoError(t, err)
		require.Equal(t, want, p.Seq)
	}
	for _, at := range []int64{10, 30} { // commit 11 may be of the microsecond of commit 10
		_, err := MakePlan(ctx, &s, Target{Time: time.UnixMicro(at)}, Options{})
		require.ErrorIs(t, err, errs.ErrValidation, "commits 11 to 49 are in neither")
	}
	p, err := MakePlan(ctx, &s, Target{Backup: first.ID, Time: time.UnixMicro(30)}, Options{})
	require.NoError(t, err, "who names the backup means it")
	require.Equal(t, uint64(10), p.Seq)
}

func TestNewestBackupThatIsDamagedIsNotPassedOverInSilence(t *testing.T) {
	ctx := context.Background()
	var s Memory
	first := fullAt(t, &s, 1, 10, 10)
	second := fullAt(t, &s, 2, 50, 50)
	spoil(t, &s, second.ID+manifestSuffix)
	for name, target := range map[string]Target{"the end": {}, "a time behind it": {Time: time.UnixMicro(30)}} {
		_, err := MakePlan(ctx, &s, target, Options{})
		require.ErrorIs(t, err, errs.ErrIntegrity, name)
		require.ErrorContains(t, err, second.ID, name)
	}
	_, err := MakePlan(ctx, &s, Target{Time: time.UnixMicro(10)}, Options{})
	require.ErrorIs(t, err, errs.ErrIntegrity, "commit 11 may be of the same microsecond as commit 10")
	ten := uint64(10)
	for name, target := range map[string]Target{"named": {Backup: first.ID}, "a commit": {Seq: &ten}} {
		p, err := MakePlan(ctx, &s, target, Options{})
		require.NoError(t, err, name)
		require.Equal(t, ten, p.Seq)
	}
}

func TestDigestOfAnEmptyIncrementalIsThatOfItsCommit(t *testing.T) {
	ctx := context.Background()
	var s Memory
	base := fullAt(t, &s, 1, 10, 10)
	commits := func(after, last uint64, visit func(*msgs.Changeset) error) error {
		for seq := after + 1; seq <= last; seq++ {
			if err := visit(&msgs.Changeset{Seq: seq, Micros: int64(seq)}); err != nil {
				return err
			}
		}
		return nil
	}
	origin := Origin{Incarnation: manifest.Incarnation{1}, KeyEncoding: 1, NowMicros: 2}
	parent, err := WriteIncremental(ctx, &s, origin, &base, imageAt(11, 11), commits, false, Options{})
	require.NoError(t, err)
	require.Nil(t, parent.State)
	origin.NowMicros = 3
	child, err := WriteIncremental(ctx, &s, origin, &parent, imageAt(11, 11), commits, true, Options{})
	require.NoError(t, err)
	require.NotNil(t, child.State)
	p, err := MakePlan(ctx, &s, Target{}, Options{})
	require.NoError(t, err)
	require.Equal(t, child.State, p.State)
}
