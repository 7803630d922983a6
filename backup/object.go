package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/zeebo/blake3"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

// putObject puts what fill writes, sealed if asked, and returns it with its size
// and digest. fill runs on a goroutine that has ended when putObject returns.
func putObject(ctx context.Context, to Sink, o Options, name string, fill func(io.Writer) error) (Object, error) {
	object := Object{Name: name}
	in, out := io.Pipe()
	sum := blake3.New()
	done := make(chan error, 1)
	go func() {
		counted := &countingWriter{out: io.MultiWriter(out, sum)}
		err := seal(counted, o, fill)
		object.Size = counted.n
		_ = out.CloseWithError(err) // never fails; nil is the end of the object
		done <- err
	}()
	putErr := to.Put(ctx, name, in)
	_ = in.CloseWithError(errPutEnded) // never fails; it ends fill if Put did not read all
	fillErr := <-done
	switch {
	case fillErr != nil && !errors.Is(fillErr, errPutEnded):
		return Object{}, fillErr
	case putErr != nil:
		return Object{}, failed(putErr, "put %s", name).On(name)
	case fillErr != nil:
		return Object{}, errs.New(errs.CodeIO, "the store took %s without reading all of it", name).On(name)
	}
	sum.Sum(object.Digest[:0])
	return object, nil
}

var errPutEnded = errors.New("the store has stopped reading")

// seal runs fill on out, or on a sealed stream in it.
func seal(out io.Writer, o Options, fill func(io.Writer) error) error {
	if !o.Seal {
		return fill(out)
	}
	sealed, err := keys.NewStreamWriter(out, o.Keys)
	if err != nil {
		return err
	}
	if err := fill(sealed); err != nil {
		return err
	}
	return sealed.Close()
}

// countingWriter counts what was written.
type countingWriter struct {
	out io.Writer
	n   int64
}

// Write implements io.Writer.
func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.n += int64(n)
	return n, err
}

// readObject hands the content of an object to use, opened if it is sealed, and
// then checks that what was in the store has the size and the digest that the
// manifest says. Nothing that use was given is to be trusted before readObject has
// returned without an error.
func readObject(ctx context.Context, from Store, o Options, sealed bool, object *Object, use func(io.Reader) error) error {
	stored, err := from.Get(ctx, object.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(errs.CodeIntegrity, err, "%s is missing", object.Name).On(object.Name)
	}
	if err != nil {
		return failed(err, "read %s", object.Name).On(object.Name)
	}
	defer stored.Close() // it was only read
	sum := blake3.New()
	counted := &countingWriter{out: sum}
	// One byte more than there should be tells an object that has grown.
	in := io.TeeReader(underContext(ctx, io.LimitReader(stored, object.Size+1)), counted)
	useErr := open(in, o, sealed, use)
	if errs.CodeOf(useErr) == errs.CodeUnavailable {
		return useErr // a missing key
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return failed(err, "read %s", object.Name).On(object.Name)
	}
	var digest Digest
	sum.Sum(digest[:0])
	// What is wrong with the bytes explains whatever use has made of them.
	switch {
	case counted.n < object.Size:
		return damaged(object.Name, "%s has %d bytes; the manifest says %d", object.Name, counted.n, object.Size)
	case counted.n > object.Size:
		return damaged(object.Name, "%s has more than the %d bytes that the manifest says", object.Name, object.Size)
	case digest != object.Digest:
		return damaged(object.Name, "%s has digest %s; the manifest says %s", object.Name, digest, object.Digest)
	case useErr != nil:
		return failed(useErr, "read %s", object.Name).On(object.Name)
	}
	return nil
}

// open runs use on what in yields, or on the content of the sealed stream in it.
func open(in io.Reader, o Options, sealed bool, use func(io.Reader) error) error {
	if !sealed {
		return use(in)
	}
	content, err := keys.NewStreamReader(in, o.Keys)
	if err != nil {
		return err
	}
	return use(content)
}
