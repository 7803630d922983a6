package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/empyrealapp/aedb-go/cmd/aedb/importer"
)

// progress shows how far an import has come. A nil progress shows nothing.
type progress struct {
	source *importer.Source
	bar    *progressbar.ProgressBar
}

// newProgress returns nil unless the output is a terminal and the size of the
// source is known.
func newProgress(out io.Writer, source *importer.Source) *progress {
	file, ok := out.(*os.File)
	if !ok || source.Size == 0 || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return &progress{source: source, bar: progressbar.NewOptions64(source.Size,
		progressbar.OptionSetWriter(out), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth(), progressbar.OptionSetPredictTime(true))}
}

// show tells the progress after a batch. A bar that cannot be drawn is no reason
// to stop, so errors are passed over, as in end.
func (p *progress) show(s importer.Summary) {
	if p == nil {
		return
	}
	p.bar.Describe(fmt.Sprintf("%d rows, %.0f rows/s", s.Rows, s.RowsPerSecond()))
	_ = p.bar.Set64(p.source.BytesRead())
}

// end removes the bar.
func (p *progress) end() {
	if p != nil {
		_ = p.bar.Finish()
	}
}
