#include "textflag.h"

// func prefetch(p unsafe.Pointer, lines int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD lines+8(FP), R1

line:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $1, R1, R1
	BGT  line
	RET

// func prefetchEntries(buf unsafe.Pointer, offsets *uint16, n int)
TEXT ·prefetchEntries(SB), NOSPLIT, $0-24
	MOVD buf+0(FP), R0
	MOVD offsets+8(FP), R1
	MOVD n+16(FP), R2

entry:
	MOVHU.P 2(R1), R3
	ADD     R0, R3, R4
	PRFM    (R4), PLDL1KEEP
	PRFM    64(R4), PLDL1KEEP
	SUBS    $1, R2, R2
	BGT     entry
	RET
