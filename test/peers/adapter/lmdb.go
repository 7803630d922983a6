//go:build lmdb

package adapter

/*
#cgo LDFLAGS: -llmdb
#include <stdlib.h>
#include <string.h>
#include <lmdb.h>

// One crossing from Go to C per operation: each function is a whole transaction.

static int bench_put(MDB_env *env, MDB_dbi dbi, void *k, size_t kn, void *v, size_t vn) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc) return rc;
	MDB_val key = {kn, k}, val = {vn, v};
	rc = v ? mdb_put(txn, dbi, &key, &val, 0) : mdb_del(txn, dbi, &key, NULL);
	if (rc && !(rc == MDB_NOTFOUND && !v)) { mdb_txn_abort(txn); return rc; }
	return mdb_txn_commit(txn);
}

// The entries lie in buf as: key length, value length (4 bytes each), key, value.
static int bench_batch(MDB_env *env, MDB_dbi dbi, unsigned char *buf, size_t n) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc) return rc;
	for (size_t i = 0; i < n; ) {
		unsigned int kn, vn;
		memcpy(&kn, buf + i, 4);
		memcpy(&vn, buf + i + 4, 4);
		MDB_val key = {kn, buf + i + 8}, val = {vn, buf + i + 8 + kn};
		if ((rc = mdb_put(txn, dbi, &key, &val, 0))) { mdb_txn_abort(txn); return rc; }
		i += 8 + kn + vn;
	}
	return mdb_txn_commit(txn);
}

static unsigned long long bench_u64(void *p) {
	unsigned long long n;
	memcpy(&n, p, 8);
	return __builtin_bswap64(n);
}

// Returns 1 if the first balance is too low.
static int bench_transfer(MDB_env *env, MDB_dbi dbi, void *f, size_t fn, void *t, size_t tn, unsigned long long amount) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc) return rc;
	MDB_val from = {fn, f}, to = {tn, t}, x, y;
	if ((rc = mdb_get(txn, dbi, &from, &x)) || (rc = mdb_get(txn, dbi, &to, &y))) { mdb_txn_abort(txn); return rc; }
	unsigned long long left = bench_u64(x.mv_data), right = bench_u64(y.mv_data);
	if (left < amount) { mdb_txn_abort(txn); return 1; }
	left = __builtin_bswap64(left - amount);
	right = __builtin_bswap64(right + amount);
	MDB_val a = {8, &left}, b = {8, &right};
	if ((rc = mdb_put(txn, dbi, &from, &a, 0)) || (rc = mdb_put(txn, dbi, &to, &b, 0))) { mdb_txn_abort(txn); return rc; }
	return mdb_txn_commit(txn);
}

// The read transaction is renewed, so that it sees the newest commit.
static int bench_get(MDB_txn *txn, MDB_dbi dbi, void *k, size_t kn, void *out, size_t room, size_t *n) {
	int rc = mdb_txn_renew(txn);
	if (rc) return rc;
	MDB_val key = {kn, k}, val;
	rc = mdb_get(txn, dbi, &key, &val);
	if (!rc) {
		*n = val.mv_size;
		if (val.mv_size <= room) memcpy(out, val.mv_data, val.mv_size);
	}
	mdb_txn_reset(txn);
	return rc;
}

struct bench_entry { void *key; size_t key_size; void *val; size_t val_size; };

// Collects the addresses of up to room entries; they are valid until the
// transaction is reset.
static int bench_scan(MDB_txn *txn, MDB_dbi dbi, void *p, size_t pn, struct bench_entry *out, size_t room, size_t *n) {
	MDB_cursor *cursor;
	int rc = mdb_txn_renew(txn);
	if (rc) return rc;
	*n = 0;
	if ((rc = mdb_cursor_open(txn, dbi, &cursor))) return rc;
	MDB_val key = {pn, p}, val;
	rc = mdb_cursor_get(cursor, &key, &val, MDB_SET_RANGE);
	while (!rc && *n < room && key.mv_size >= pn && !memcmp(key.mv_data, p, pn)) {
		out[*n].key = key.mv_data; out[*n].key_size = key.mv_size;
		out[*n].val = val.mv_data; out[*n].val_size = val.mv_size;
		++*n;
		rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"github.com/empyrealapp/aedb-go/test/peers/store"
)

// LMDB is bound here directly, with one call from Go to C per operation, because
// that is the least a Go program can pay. By default it syncs every commit with
// fdatasync and reports the error; with MDB_NOSYNC pages go to the operating
// system by pwrite, so they survive the process.
var _ = register(&store.Peer{
	Name: "lmdb",
	Levels: map[store.Level]store.Guarantee{
		store.Power:   {Given: store.Power, How: "default: fdatasync per commit"},
		store.Process: {Given: store.Process, How: "MDB_NOSYNC"},
	},
	Open: openLMDB,
})

type lmdbStore struct {
	env   *C.MDB_env
	dbi   C.MDB_dbi
	write sync.Mutex // LMDB has one writer; waiting in Go costs no thread
}

func lmdbErr(rc C.int) error {
	switch rc {
	case 0:
		return nil
	case 1:
		return store.ErrPoor
	case C.MDB_NOTFOUND:
		return store.ErrNotFound
	}
	return errors.New("lmdb: " + C.GoString(C.mdb_strerror(rc)))
}

func openLMDB(dir string, l store.Level) (store.Store, error) {
	s := &lmdbStore{}
	if rc := C.mdb_env_create(&s.env); rc != 0 {
		return nil, lmdbErr(rc)
	}
	C.mdb_env_set_mapsize(s.env, 8<<30)
	flags := C.uint(C.MDB_NOTLS)
	if l != store.Power {
		flags |= C.MDB_NOSYNC
	}
	path := C.CString(dir)
	defer C.free(unsafe.Pointer(path))
	if rc := C.mdb_env_open(s.env, path, flags, 0o600); rc != 0 {
		return nil, lmdbErr(rc)
	}
	var txn *C.MDB_txn
	if rc := C.mdb_txn_begin(s.env, nil, 0, &txn); rc != 0 {
		return nil, lmdbErr(rc)
	}
	if rc := C.mdb_dbi_open(txn, nil, 0, &s.dbi); rc != 0 {
		return nil, lmdbErr(rc)
	}
	return s, lmdbErr(C.mdb_txn_commit(txn))
}

func (s *lmdbStore) Close() error {
	rc := C.mdb_env_sync(s.env, 1)
	C.mdb_env_close(s.env)
	return lmdbErr(rc)
}

func at(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func (s *lmdbStore) Put(key, val []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	return lmdbErr(C.bench_put(s.env, s.dbi, at(key), C.size_t(len(key)), at(val), C.size_t(len(val))))
}

func (s *lmdbStore) Delete(key []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	return lmdbErr(C.bench_put(s.env, s.dbi, at(key), C.size_t(len(key)), nil, 0))
}

func (s *lmdbStore) PutBatch(keys, vals [][]byte) error {
	var buf []byte
	for i, key := range keys {
		buf = binary.NativeEndian.AppendUint32(buf, uint32(len(key)))
		buf = binary.NativeEndian.AppendUint32(buf, uint32(len(vals[i])))
		buf = append(append(buf, key...), vals[i]...)
	}
	s.write.Lock()
	defer s.write.Unlock()
	return lmdbErr(C.bench_batch(s.env, s.dbi, (*C.uchar)(at(buf)), C.size_t(len(buf))))
}

func (s *lmdbStore) Transfer(from, to []byte, amount uint64) error {
	s.write.Lock()
	defer s.write.Unlock()
	return lmdbErr(C.bench_transfer(s.env, s.dbi, at(from), C.size_t(len(from)), at(to), C.size_t(len(to)), C.ulonglong(amount)))
}

func (s *lmdbStore) Count() (int, error) {
	var st C.MDB_stat
	rc := C.mdb_env_stat(s.env, &st)
	return int(st.ms_entries), lmdbErr(rc)
}

func (s *lmdbStore) Scans() {}

func (s *lmdbStore) NewReader() (store.Reader, error) {
	r := &lmdbReader{dbi: s.dbi, refs: (*C.struct_bench_entry)(C.calloc(lmdbRefs, C.sizeof_struct_bench_entry))}
	if rc := C.mdb_txn_begin(s.env, nil, C.MDB_RDONLY, &r.txn); rc != 0 {
		return nil, lmdbErr(rc)
	}
	C.mdb_txn_reset(r.txn)
	return r, nil
}

// lmdbRefs is the greatest number of entries of one scan.
const lmdbRefs = 1024

type lmdbReader struct {
	txn  *C.MDB_txn
	dbi  C.MDB_dbi
	n    C.size_t
	refs *C.struct_bench_entry // in C's memory, which cgo does not search for pointers
}

func (r *lmdbReader) Close() error {
	C.mdb_txn_abort(r.txn)
	C.free(unsafe.Pointer(r.refs))
	return nil
}

func (r *lmdbReader) Get(key, buf []byte) ([]byte, error) {
	rc := C.bench_get(r.txn, r.dbi, at(key), C.size_t(len(key)), at(buf[:cap(buf)]), C.size_t(cap(buf)), &r.n)
	if rc != 0 {
		return nil, lmdbErr(rc)
	}
	if int(r.n) > cap(buf) {
		return r.Get(key, make([]byte, 0, r.n))
	}
	return buf[:r.n], nil
}

func (r *lmdbReader) Scan(prefix []byte, limit int, visit func(key, val []byte)) error {
	if limit == 0 || limit > lmdbRefs {
		limit = lmdbRefs
	}
	rc := C.bench_scan(r.txn, r.dbi, at(prefix), C.size_t(len(prefix)), r.refs, C.size_t(limit), &r.n)
	for _, e := range unsafe.Slice(r.refs, r.n) {
		visit(unsafe.Slice((*byte)(e.key), e.key_size), unsafe.Slice((*byte)(e.val), e.val_size))
	}
	C.mdb_txn_reset(r.txn)
	return lmdbErr(rc)
}
