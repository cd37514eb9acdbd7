//go:build !linux

package bench

import (
	"errors"
	"fmt"
)

// sinkSys is empty: there is no sink.
type sinkSys struct{}

// NewSink returns an error that is [errors.ErrUnsupported]: only Linux has sinks.
func NewSink() (*Sink, error) {
	return nil, fmt.Errorf("sink: %w on this system", errors.ErrUnsupported)
}

// Attach is for Linux only.
func (s *Sink) Attach(string) error { return errors.ErrUnsupported }

func (sinkSys) match(uint32)  {}
func (sinkSys) count() uint64 { return 0 }
func (sinkSys) close() error  { return nil }
