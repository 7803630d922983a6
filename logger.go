package aedb

import (
	"os"

	"github.com/rs/zerolog"
)

// Logger receives the engine's log. It must be safe for concurrent use. Fields
// are alternating keys and values, as in log/slog; *slog.Logger satisfies it.
type Logger interface {
	Debug(msg string, fields ...any)
	Info(msg string, fields ...any)
	Warn(msg string, fields ...any)
	Error(msg string, fields ...any)
}

// Zerolog returns a Logger that writes through a zerolog logger.
func Zerolog(l zerolog.Logger) Logger { return zerologLogger{l} }

type zerologLogger struct{ l zerolog.Logger }

func (z zerologLogger) Debug(msg string, f ...any) { z.l.Debug().Fields(f).Msg(msg) }
func (z zerologLogger) Info(msg string, f ...any)  { z.l.Info().Fields(f).Msg(msg) }
func (z zerologLogger) Warn(msg string, f ...any)  { z.l.Warn().Fields(f).Msg(msg) }
func (z zerologLogger) Error(msg string, f ...any) { z.l.Error().Fields(f).Msg(msg) }

// defaultLogger writes warnings and errors to standard error.
func defaultLogger() Logger {
	return Zerolog(zerolog.New(os.Stderr).Level(zerolog.WarnLevel).With().Timestamp().Str("component", "aedb").Logger())
}
