package model

import (
	"github.com/empyrealapp/aedb-go"
)

// failure is why an envelope is refused; nil if it is not.
type failure struct {
	code aedb.ErrorCode
	// detail is what a failed assertion tells.
	detail *aedb.AssertionError
}

func fail(code aedb.ErrorCode) *failure { return &failure{code: code} }

// Codes as the model expects them.
const (
	validation      aedb.ErrorCode = "validation"
	overflow        aedb.ErrorCode = "overflow"
	underflow       aedb.ErrorCode = "underflow"
	conflict        aedb.ErrorCode = "conflict"
	assertionFailed aedb.ErrorCode = "assertion_failed"
	duplicateKey    aedb.ErrorCode = "duplicate_primary_key"
	uniqueViolation aedb.ErrorCode = "unique_violation"
	rowNotFound     aedb.ErrorCode = "row_not_found"
	tableNotFound   aedb.ErrorCode = "table_not_found"
	indexNotFound   aedb.ErrorCode = "index_not_found"
	tableExists     aedb.ErrorCode = "table_already_exists"
	indexExists     aedb.ErrorCode = "index_already_exists"
	notNull         aedb.ErrorCode = "not_null_violation"
	keyMismatch     aedb.ErrorCode = "idempotency_mismatch"
)
