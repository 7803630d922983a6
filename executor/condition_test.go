package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// guarded runs a write under assertions.
func (s *store) guarded(assertions ...msgs.Assertion) error {
	s.t.Helper()
	return s.commit(msgs.Envelope{Assertions: assertions, Mutations: []msgs.Mutation{set("done", "x")}})
}

func TestAssertionsHoldOrTellWhatTheyFound(t *testing.T) {
	nowhere := msgs.ScopeName{Project: "no", Scope: "app"}
	k, absent := []byte("k"), []byte("absent")
	column := func(id int64, column string, op msgs.CompareOp, v value.Value) msgs.Assertion {
		return msgs.RowColumnCompare{Table: users, Key: key(id), Column: column, Op: op, Threshold: v}
	}
	yes, no := msgs.KeyExists{Scope: app, Key: k, Expected: true}, msgs.KeyExists{Scope: app, Key: k}
	missing := msgs.Actual{}
	flag := func(b bool) msgs.Actual { return msgs.Actual{Kind: msgs.ActualBool, Bool: b} }
	version := func(v uint64) msgs.Actual { return msgs.Actual{Kind: msgs.ActualVersion, Version: v} }
	val := func(v value.Value) msgs.Actual { return msgs.Actual{Kind: msgs.ActualValue, Value: v} }
	data := func(s string) msgs.Actual { return msgs.Actual{Kind: msgs.ActualBytes, Bytes: []byte(s)} }
	held := msgs.Actual{Kind: 99}
	for name, tc := range map[string]struct {
		a    msgs.Assertion
		want msgs.Actual
	}{
		"KeyEquals":              {msgs.KeyEquals{Scope: app, Key: k, Expected: []byte("v")}, held},
		"KeyEquals other":        {msgs.KeyEquals{Scope: app, Key: k, Expected: []byte("w")}, data("v")},
		"KeyEquals absent":       {msgs.KeyEquals{Scope: app, Key: absent}, missing},
		"KeyEquals in no scope":  {msgs.KeyEquals{Scope: nowhere, Key: k}, missing},
		"KeyExists":              {yes, held},
		"KeyExists not":          {no, flag(true)},
		"KeyExists absent":       {msgs.KeyExists{Scope: app, Key: absent, Expected: true}, flag(false)},
		"KeyExists in no scope":  {msgs.KeyExists{Scope: nowhere, Key: k}, held},
		"KeyVersion":             {msgs.KeyVersion{Scope: app, Key: k, Seq: 2}, held},
		"KeyVersion outdated":    {msgs.KeyVersion{Scope: app, Key: k, Seq: 1}, version(2)},
		"KeyVersion 0 of a key":  {msgs.KeyVersion{Scope: app, Key: k}, version(2)},
		"KeyVersion 0 is absent": {msgs.KeyVersion{Scope: app, Key: absent}, held},
		"RowExists":              {msgs.RowExists{Table: users, Key: key(1), Expected: true}, held},
		"RowExists absent":       {msgs.RowExists{Table: users, Key: key(9), Expected: true}, flag(false)},
		"RowVersion":             {msgs.RowVersion{Table: users, Key: key(1), Seq: 2}, held},
		"RowVersion outdated":    {msgs.RowVersion{Table: users, Key: key(1), Seq: 7}, version(2)},
		"RowVersion 0 is absent": {msgs.RowVersion{Table: users, Key: key(9)}, held},
		"column equal":           {column(1, "age", msgs.Eq, value.Int(30)), held},
		"column not equal":       {column(1, "age", msgs.Ne, value.Int(30)), val(value.Int(30))},
		"column greater":         {column(1, "age", msgs.Gt, value.Int(29)), held},
		"column not greater":     {column(1, "age", msgs.Gt, value.Int(30)), val(value.Int(30))},
		"column at least":        {column(1, "age", msgs.Gte, value.Int(30)), held},
		"column less":            {column(1, "age", msgs.Lt, value.Int(30)), val(value.Int(30))},
		"column at most":         {column(1, "age", msgs.Lte, value.Int(30)), held},
		"key column":             {column(1, "id", msgs.Eq, value.Int(1)), held},
		"Null is lowest":         {column(2, "age", msgs.Lt, value.Int(-5)), held},
		"Null equals Null":       {column(2, "age", msgs.Eq, value.Null()), held},
		"column of no row":       {column(9, "age", msgs.Ne, value.Int(1)), missing},
		"All":                    {msgs.All{yes, yes}, held},
		"All reports the first":  {msgs.All{yes, no, msgs.KeyVersion{Scope: app, Key: k}}, flag(true)},
		"Any":                    {msgs.Any{no, yes, no}, held},
		"Any reports the last":   {msgs.Any{no, msgs.KeyVersion{Scope: app, Key: k}}, version(2)},
		"Not":                    {msgs.Not{Inner: no}, held},
		"Not of what holds":      {msgs.Not{Inner: yes}, flag(true)},
		"nested":                 {msgs.Not{Inner: msgs.All{yes, msgs.Not{Inner: msgs.Any{no, yes}}}}, held},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.must(set("k", "v"), insert(user(1, "a", 30), user(2, "b", -1)))
			err := s.guarded(yes, tc.a)
			if tc.want.Kind == held.Kind {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errs.ErrAssertionFailed)
			require.Equal(t, errs.Conflict, errs.ClassOf(err))
			var failed *msgs.AssertionError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, 1, failed.Index)
			require.Equal(t, tc.a, failed.Assertion)
			require.Equal(t, tc.want, failed.Actual)
		})
	}
}

func TestMalformedAssertionsAreRefused(t *testing.T) {
	s := newStore(t)
	s.must(insert(user(1, "a", 30)))
	yes := msgs.KeyExists{Scope: app}
	deep := msgs.Assertion(yes)
	for range msgs.MaxAssertionDepth - 1 {
		deep = msgs.Not{Inner: deep}
	}
	require.ErrorIs(t, s.guarded(deep), errs.ErrAssertionFailed, "just deep enough")
	no := msgs.TableName{Project: "p", Scope: "app", Table: "no"}
	wide := make(msgs.All, 20)
	for i := range wide {
		wide[i] = yes
	}
	for name, tc := range map[string]struct {
		a    msgs.Assertion
		code errs.Code
	}{
		"too deep":                {msgs.Not{Inner: deep}, errs.CodeLimitExceeded},
		"too many, nested":        {wide, errs.CodeLimitExceeded},
		"empty All":               {msgs.All{}, errs.CodeValidation},
		"empty Any":               {msgs.Any{}, errs.CodeValidation},
		"nil":                     {nil, errs.CodeValidation},
		"Not of nil":              {msgs.Not{}, errs.CodeValidation},
		"a pointer":               {&yes, errs.CodeValidation},
		"missing table":           {msgs.RowExists{Table: no, Key: key(1)}, errs.CodeTableNotFound},
		"key arity":               {msgs.RowExists{Table: users}, errs.CodeValidation},
		"key kind":                {msgs.RowVersion{Table: users, Key: []value.Value{value.Text("1")}}, errs.CodeTypeMismatch},
		"unknown column":          {msgs.RowColumnCompare{Table: users, Key: key(1), Column: "no"}, errs.CodeUnknownColumn},
		"threshold kind":          {msgs.RowColumnCompare{Table: users, Key: key(1), Column: "age", Threshold: value.U64(1)}, errs.CodeTypeMismatch},
		"Null for a column never": {msgs.RowColumnCompare{Table: users, Key: key(1), Column: "score"}, errs.CodeNotNullViolation},
		"unknown comparison":      {msgs.RowColumnCompare{Table: users, Key: key(1), Column: "age", Op: 6, Threshold: value.Int(1)}, errs.CodeValidation},
	} {
		err := s.guarded(tc.a)
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
		err = s.do(msgs.PostflightCheck{Assertions: []msgs.Assertion{tc.a}})
		require.Equal(t, tc.code, errs.CodeOf(err), "%s: %v", name, err)
	}
	// The bound is for the envelope: lists before and after the mutations together.
	half := msgs.PostflightCheck{Assertions: wide[:7]}
	require.ErrorIs(t, s.do(half, half, half), errs.ErrLimitExceeded)
	require.NoError(t, s.do(half, half))
}

func TestPostflightCheckSeesWhatCameBeforeIt(t *testing.T) {
	s := newStore(t)
	check := func(a ...msgs.Assertion) msgs.Mutation { return msgs.PostflightCheck{Assertions: a} }
	is := func(v string) msgs.Assertion {
		return msgs.KeyEquals{Scope: app, Key: []byte("k"), Expected: []byte(v)}
	}
	s.must(set("k", "a"), check(is("a")), set("k", "b"), check(is("b")))
	s.fails(errs.CodeAssertionFailed, set("k", "c"), check(is("b")), set("k", "b"))
	got, _, _ := s.kv("k")
	require.Equal(t, "b", got, "what preceded the check is taken back")
}

// The soft decrement of a counter with a floor: as many succeed as it allows.
func TestPostflightCheckGuardsAFloor(t *testing.T) {
	s := newStore(t)
	n := []byte("n")
	s.must(msgs.KvArithmetic{Scope: app, Key: n, Width: msgs.Width64, Amount: number(32)})
	one, zero := []byte("\x00\x00\x00\x00\x00\x00\x00\x01"), []byte("\x00\x00\x00\x00\x00\x00\x00\x00")
	succeeded := 0
	for range 64 {
		err := s.do(
			msgs.KvArithmetic{Scope: app, Key: n, Op: msgs.ArithmeticSub, Width: msgs.Width64, Amount: number(1), OnLimit: msgs.LimitNoOp},
			msgs.PostflightCheck{Assertions: []msgs.Assertion{msgs.Not{Inner: msgs.KeyEquals{Scope: app, Key: n, Expected: zero}}}},
		)
		if err == nil {
			succeeded++
		} else {
			require.ErrorIs(t, err, errs.ErrAssertionFailed)
		}
	}
	require.Equal(t, 31, succeeded)
	got, _, _ := s.kv("n")
	require.Equal(t, string(one), got)
}
