// Package kill kills a loading process with SIGKILL, again and again, on the real
// disk, with its log and its checkpoints encrypted and its manifests signed, and
// proves after each that nothing is lost that it was told to be durable.
//
// AEDB_LONG=1 kills 200 times, AEDB_SEED repeats the moments.
package kill

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

const (
	// directory and rotation are what a loader is told in its environment.
	directory = "AEDB_KILL_DIRECTORY"
	rotation  = "AEDB_KILL_ROTATION"

	loaders = 8
	// data is the real data that is loaded, line by line.
	data = "../../cmd/aedb/demo/data"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(directory); dir != "" {
		turn, err := strconv.Atoi(os.Getenv(rotation))
		if err == nil {
			err = load(dir, turn)
		}
		fmt.Fprintln(os.Stderr, "the loader has ended by itself:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// config is that of a store with keys, of which a new one is made current with each
// turn. Everything that a store does now and then it does often.
func config(turn int) aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.Keys.Encrypt = true
	for i := turn; i >= max(0, turn-8); i-- {
		cfg.Keys.Ring = append(cfg.Keys.Ring, aedb.Key{ID: fmt.Sprintf("key-%d", i), Secret: bytes.Repeat([]byte{byte(i + 1)}, 32)})
	}
	cfg.SegmentBytes, cfg.Checkpoint.WALBytes = 128<<10, 512<<10
	cfg.Logger = aedb.Zerolog(zerolog.Nop())
	return cfg
}

func key(loader, n int) []byte { return fmt.Appendf(nil, "%d/%08d", loader, n) }

// load writes the lines of the data over and over, each as a key and as a row with
// an index, and tells on standard output what has become durable.
func load(dir string, turn int) error {
	ctx := context.Background()
	lines, err := dataset()
	if err != nil {
		return err
	}
	db, err := aedb.OpenNoAuth(dir, config(turn))
	if err != nil {
		return err
	}
	app, err := prepare(ctx, db)
	if err != nil {
		return err
	}
	fmt.Println("open")
	var wg sync.WaitGroup
	failed := make(chan error, loaders)
	for loader := range loaders {
		from, err := next(ctx, app, loader)
		if err != nil {
			return err
		}
		wg.Go(func() {
			for n := from; ; n++ {
				line := lines[n%len(lines)]
				if _, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{
					app.KvSet(key(loader, n), line), app.Insert("lines", row(loader, n, line)),
				}}, aedb.Durable); err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %d\n", loader, n) // one write, so that the line is whole or not there
			}
		})
	}
	wg.Wait()
	return <-failed
}

func row(loader, n int, line []byte) aedb.Row {
	return aedb.Row{aedb.Int(int64(loader)), aedb.Int(int64(n)), aedb.Text(string(line[:min(8, len(line))])), aedb.Blob(line)}
}

func prepare(ctx context.Context, db *aedb.DB) (*aedb.Scope, error) {
	if _, err := db.NoAuth().CreateProject(ctx, "p"); err != nil {
		return nil, err
	}
	app := db.NoAuth().Scope("p", "app")
	_, err := app.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{app.CreateTable("lines", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("loader", aedb.TypeInteger), aedb.Column("n", aedb.TypeInteger),
			aedb.Column("start", aedb.TypeText), aedb.Column("line", aedb.TypeBlob),
		},
		PrimaryKey:  []string{"loader", "n"},
		Indexes:     []aedb.IndexSpec{{Name: "by_start", Columns: []string{"start"}}},
		IfNotExists: true,
	})}}, aedb.Durable)
	return app, err
}

// next returns the number of the first line that a loader has not written.
func next(ctx context.Context, app *aedb.Scope, loader int) (int, error) {
	for e, err := range app.KV().Scan(ctx, aedb.Range{Prefix: fmt.Appendf(nil, "%d/", loader), Reverse: true, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(string(e.Key[2:]))
		return n + 1, err
	}
	return 0, nil
}

func dataset() ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(data, "*.gz"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no data in %s: %v", data, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(z)
	return bytes.Split(bytes.TrimSpace(content), []byte("\n")), err
}

func TestKilledProcessLosesNothingThatWasDurable(t *testing.T) {
	kills := 5
	switch {
	case os.Getenv("AEDB_LONG") != "":
		kills = 200
	case testing.Short():
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("AEDB_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("AEDB_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	lines, err := dataset()
	require.NoError(t, err)

	dir := t.TempDir()
	var durable [loaders]int // lines known to be durable, by loader
	for i := range kills {
		turn := i / 3
		run(t, dir, turn, time.Duration(rng.Int64N(int64(250*time.Millisecond))), &durable)
		verify(t, dir, turn, lines, &durable)
		if i%25 == 24 { // a full store makes each proof slow
			dir, durable = t.TempDir(), [loaders]int{}
		}
	}
	t.Logf("killed %d times", kills)
}

// run starts a loader and kills it some time after it has opened the store.
func run(t *testing.T, dir string, turn int, after time.Duration, durable *[loaders]int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), directory+"="+dir, rotation+"="+strconv.Itoa(turn))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	told := bufio.NewScanner(out)
	open := told.Scan()
	alarm := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer alarm.Stop()
	for told.Scan() {
		var loader, n int
		if _, err := fmt.Sscanf(told.Text(), "%d %d", &loader, &n); err == nil {
			durable[loader] = max(durable[loader], n+1)
		}
	}
	require.Error(t, cmd.Wait())
	require.True(t, open, stderr.String())
	require.NotContains(t, stderr.String(), "ended by itself")
}

// verify opens the store and looks for every line that was called durable.
func verify(t *testing.T, dir string, turn int, lines [][]byte, durable *[loaders]int) {
	t.Helper()
	ctx := context.Background()
	db, err := aedb.OpenNoAuth(dir, config(turn))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(ctx)) }()
	app := db.NoAuth().Scope("p", "app")
	total := 0
	for loader, most := range durable {
		n := 0
		for e, err := range app.KV().Scan(ctx, aedb.Range{Prefix: fmt.Appendf(nil, "%d/", loader)}) {
			require.NoError(t, err)
			require.Equal(t, string(key(loader, n)), string(e.Key), "a line in the middle is lost")
			require.True(t, bytes.Equal(lines[n%len(lines)], e.Value))
			n++
		}
		require.GreaterOrEqual(t, n, most, "loader %d was told that %d lines are durable", loader, most)
		result := 0
		for r, err := range app.Rows(ctx, query.Select("n", "line").From("lines").Where(query.Eq("loader", int64(loader))).OrderBy("n", query.Asc)) {
			require.NoError(t, err)
			require.Equal(t, int64(result), r[0].AsInt())
			require.True(t, bytes.Equal(lines[result%len(lines)], r[1].AsBlob()))
			result++
		}
		require.Equal(t, n, result, "the keys and the rows of one commit are there together")
		total += n
	}
	violations, err := db.CheckInvariants(aedb.AtLatest)
	require.NoError(t, err)
	require.Empty(t, violations)
	t.Logf("%d lines, %d commits replayed from the log", total, db.Recovery().Commits)
}
