package demo

import "github.com/empyrealapp/aedb-go/errs"

// wrong is the failure of something that the demo promises to hold.
func wrong(format string, args ...any) error {
	return errs.New(errs.CodeIntegrity, format, args...)
}

// during says what was being done when an error arose. It keeps the code; what
// has none is the operating system's.
func during(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	code := errs.CodeOf(err)
	if code == "" {
		code = errs.CodeIO
	}
	return errs.Wrap(code, err, format, args...)
}
