package vfs

import (
	"io/fs"
	"syscall"
)

// memHandle is one opening of a file of a Mem.
type memHandle struct {
	mem      *Mem
	file     *memFile
	name     string
	writable bool
	closed   bool
	told     int // of the failures of the file
}

// ReadAt implements File.
func (h *memHandle) ReadAt(b []byte, off int64) (int, error) {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if _, err := h.mem.begin(OpRead, h.name, off, int64(len(b))); err != nil {
		return 0, err
	}
	switch {
	case h.closed:
		return 0, pathError(OpRead, h.name, fs.ErrClosed)
	case off < 0:
		return 0, pathError(OpRead, h.name, syscall.EINVAL)
	}
	return h.file.content.readAt(b, off)
}

// WriteAt implements File.
func (h *memHandle) WriteAt(b []byte, off int64) (int, error) {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	fault, err := h.mem.begin(OpWrite, h.name, off, int64(len(b)))
	if unusable := h.usable(OpWrite.String()); unusable != nil {
		return 0, unusable
	}
	switch {
	case !h.writable:
		return 0, pathError(OpWrite, h.name, syscall.EBADF)
	case off < 0:
		return 0, pathError(OpWrite, h.name, syscall.EINVAL)
	case int64(len(b)) > maxFileSize-off:
		return 0, pathError(OpWrite, h.name, syscall.EFBIG)
	}
	n := int64(len(b))
	if err != nil {
		n = max(0, min(int64(fault.Short), n))
	}
	// A write that fails by injection still takes no more than the disk has.
	size := h.file.content.liveSize
	if room := h.mem.room(); n > 0 && off+n-size > room {
		n = max(0, size+room-off)
		if err == nil {
			err = pathError(OpWrite, h.name, syscall.ENOSPC)
		}
	}
	h.file.content.writeAt(b[:n], off)
	return int(n), err
}

// Sync implements File.
func (h *memHandle) Sync() error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	fault, err := h.mem.begin(OpSync, h.name, 0, 0)
	if unusable := h.usable(OpSync.String()); unusable != nil {
		return unusable
	}
	if err != nil {
		if fault.DropUnsynced {
			h.file.content.drop()
		}
		h.file.failures++
		h.file.failure = err
		h.told = h.file.failures
		return err
	}
	h.file.content.sync()
	if h.told < h.file.failures { // of a sync by another handle
		h.told = h.file.failures
		return h.file.failure
	}
	return nil
}

// Truncate implements File.
func (h *memHandle) Truncate(size int64) error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if _, err := h.mem.begin(OpTruncate, h.name, 0, size); err != nil {
		return err
	}
	switch {
	case h.closed:
		return pathError(OpTruncate, h.name, fs.ErrClosed)
	case !h.writable || size < 0:
		return pathError(OpTruncate, h.name, syscall.EINVAL)
	case size > maxFileSize:
		return pathError(OpTruncate, h.name, syscall.EFBIG)
	case size-h.file.content.liveSize > h.mem.room():
		return pathError(OpTruncate, h.name, syscall.ENOSPC)
	}
	h.file.content.truncate(size)
	return nil
}

// Size implements File.
func (h *memHandle) Size() (int64, error) {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if err := h.usable("stat"); err != nil {
		return 0, err
	}
	return h.file.content.liveSize, nil
}

// Close implements File.
func (h *memHandle) Close() error {
	h.mem.mu.Lock()
	defer h.mem.mu.Unlock()
	if err := h.usable("close"); err != nil {
		return err
	}
	h.closed = true
	return nil
}

// usable fails if the power was lost or the file was closed.
func (h *memHandle) usable(op string) error {
	switch {
	case h.mem.dead:
		return &fs.PathError{Op: op, Path: h.name, Err: ErrPowerLost}
	case h.closed:
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	}
	return nil
}
