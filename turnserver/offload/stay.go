package offload

// Stay is why a flow stayed in user space, each time that it was offered. The codes are
// stable: metrics use them.
type Stay uint8

// Why flows stay.
const (
	StayFull   Stay = iota // there is no slot for it, or no room for its keys
	StayFailed             // the kernel refused it
	stays                  // their number
)

// String returns the stable code.
func (s Stay) String() string {
	if s >= stays {
		return "unknown"
	}
	return [stays]string{"full", "failed"}[s]
}

// Stays returns every reason there is.
func Stays() []Stay { return []Stay{StayFull, StayFailed} }
