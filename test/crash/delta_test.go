package crash

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/vfs"
)

// What the sweeps go through has to contain checkpoints of both kinds.
func TestTheScriptTakesFullCheckpointsAndDeltas(t *testing.T) {
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			s, kinds := p.on(vfs.NewMem()), map[bool]int{}
			require.NoError(t, live(func(ctx context.Context) error {
				generation := uint64(0)
				for _, op := range fullScript() {
					if _, err := s.run(ctx, []step{op}); err != nil {
						return err
					}
					ring, err := keys.NewRing(s.cfg.Keys.Ring...)
					if err != nil {
						return err
					}
					m, _, err := manifest.LoadSigned(s.fs, dir, ring, false)
					if err != nil {
						return err
					}
					if n := len(m.Checkpoints); n > 0 && m.Generation != generation {
						kinds[m.Checkpoints[n-1].Base > 0]++
					}
					generation = m.Generation
				}
				return nil
			}))
			require.NotZero(t, kinds[false])
			require.NotZero(t, kinds[true])
			t.Logf("full: %d, deltas: %d", kinds[false], kinds[true])
		})
	}
}
