package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/cmd/aedb/importer"
	"github.com/empyrealapp/aedb-go/recovery"
)

// bar shows how far long work has come. A nil bar shows nothing. One that cannot be
// drawn is no reason to stop, so errors are passed over.
type bar struct{ shown *progressbar.ProgressBar }

// newBar returns nil unless the output is a terminal and the total is known.
func newBar(out io.Writer, total int64) *bar {
	file, ok := out.(*os.File)
	if !ok || total <= 0 || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return &bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth(), progressbar.OptionSetPredictTime(true))}
}

// show tells how much of the total is done.
func (b *bar) show(done int64, what string) {
	if b != nil {
		b.shown.Describe(what)
		_ = b.shown.Set64(done)
	}
}

// end removes the bar.
func (b *bar) end() {
	if b != nil {
		_ = b.shown.Finish()
	}
}

// progress shows how far an import has come.
type progress struct {
	source *importer.Source
	bar    *bar
}

// newProgress returns the progress of an import; nil shows nothing.
func newProgress(out io.Writer, source *importer.Source) *progress {
	return &progress{source: source, bar: newBar(out, source.Size)}
}

// show tells the progress after a batch.
func (p *progress) show(s importer.Summary) {
	if p != nil && p.bar != nil {
		p.bar.show(p.source.BytesRead(), fmt.Sprintf("%d rows, %.0f rows/s", s.Rows, s.RowsPerSecond()))
	}
}

// end removes the bar.
func (p *progress) end() {
	if p != nil {
		p.bar.end()
	}
}

// showRecovery has a bar for each phase of a recovery that reads files. The bar is
// removed by end.
func showRecovery(out io.Writer, cfg *aedb.Config) (end func()) {
	var b *bar
	phase := recovery.Phase(0)
	cfg.OnRecovery = func(p recovery.Progress) {
		if p.Phase != phase || b == nil {
			b.end()
			b, phase = newBar(out, p.Total), p.Phase
		}
		b.show(p.Done, p.Phase.String())
	}
	return func() { b.end() }
}
