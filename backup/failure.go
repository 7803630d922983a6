package backup

import "github.com/empyrealapp/aedb-go/errs"

// failed wraps an error of a store or of the system below as io, and keeps the
// code of one that has a code: what is damaged or canceled does not become io.
// What does not decode is damage, for its bytes have been verified.
func failed(err error, format string, args ...any) *errs.Error {
	code := errs.CodeOf(err)
	switch code {
	case "":
		code = errs.CodeIO
	case errs.CodeDecode:
		code = errs.CodeIntegrity
	}
	return errs.Wrap(code, err, format, args...)
}

// damaged says that something in a store is not what it should be.
func damaged(name, format string, args ...any) *errs.Error {
	return errs.New(errs.CodeIntegrity, format, args...).On(name)
}
