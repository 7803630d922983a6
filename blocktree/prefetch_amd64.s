#include "textflag.h"

// func prefetch(p unsafe.Pointer, lines int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ lines+8(FP), CX
line:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	SUBQ $1, CX
	JGT  line
	RET

// func prefetchEntries(buf unsafe.Pointer, offsets *uint16, n int)
TEXT ·prefetchEntries(SB), NOSPLIT, $0-24
	MOVQ buf+0(FP), AX
	MOVQ offsets+8(FP), BX
	MOVQ n+16(FP), CX
entry:
	MOVWLZX    (BX), DX
	PREFETCHT0 (AX)(DX*1)
	PREFETCHT0 64(AX)(DX*1)
	ADDQ       $2, BX
	SUBQ       $1, CX
	JGT        entry
	RET
